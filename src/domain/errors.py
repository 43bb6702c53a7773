"""Errors of rules that are broken.

Every message says what was wrong and what is allowed, and never repeats a password.
"""


class DomainError(ValueError):
    """Root of every broken rule. Its message is meant to be read by whoever sent the value."""


class InvalidMoney(DomainError):
    """An amount that is negative, too precise or too large, or a currency not in ISO 4217."""


class InvalidOrder(DomainError):
    """An order, or a line of one, that breaks a rule of orders."""


class InvalidTransition(DomainError):
    """A status that cannot follow the one that an order has."""


class InvalidUsername(DomainError):
    """Text that cannot be a user name (RFC 8265, section 3.3)."""


class InvalidPassword(DomainError):
    """Text that cannot be a password (RFC 8265, section 4.2)."""


class InvalidKeyChange(DomainError):
    """A step that cannot follow in the life of a signing key."""


class KeyChangeTooEarly(InvalidKeyChange):
    """A step of a signing key whose time has not come; the message says when it does."""


class UnknownKey(InvalidKeyChange):
    """An id that no signing key has."""


class KeyAlreadyPresent(InvalidKeyChange):
    """A signing key that is among the keys already."""


class WeakPassword(DomainError):
    """A password that is too short or guessed first (NIST SP 800-63B-4, section 3.1.1.2)."""
