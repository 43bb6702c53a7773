"""Errors of the domain's rules.

Every message says what is wrong and what is allowed. No message contains a password.
"""


class DomainError(ValueError):
    """A broken rule. The message is for the sender of the value."""


class InvalidMoney(DomainError):
    """An unusable amount, or a currency that is not in ISO 4217.

    The amount is negative, too precise or too large.
    """


class InvalidOrder(DomainError):
    """An order, or a line of an order, that breaks a rule."""


class InvalidTransition(DomainError):
    """A status that cannot follow the current status of an order."""


class InvalidUsername(DomainError):
    """Text that cannot be a user name (RFC 8265, section 3.3)."""


class InvalidPassword(DomainError):
    """Text that cannot be a password (RFC 8265, section 4.2)."""


class InvalidKeyChange(DomainError):
    """A step that cannot follow in the life of a signing key."""


class KeyChangeTooEarly(InvalidKeyChange):
    """It is too early for a key's next step.

    The message says when it is due.
    """


class UnknownKey(InvalidKeyChange):
    """An id that no signing key has."""


class KeyAlreadyPresent(InvalidKeyChange):
    """A signing key that is among the keys already."""


class WeakPassword(DomainError):
    """A password that is short or easily guessed (NIST SP 800-63B-4, 3.1.1.2)."""
