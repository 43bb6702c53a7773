"""Money: an exact amount in one currency of ISO 4217."""

import re
from dataclasses import dataclass
from typing import Self

from ordergate.domain.errors import InvalidMoney

MAX_MINOR = 2**63 - 1
"""The largest amount in minor units: the maximum of a signed 64-bit column."""

_WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_CENTS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
    GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
    PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
    TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_MILLS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

MINOR_DIGITS: dict[str, int] = {
    code: digits
    for digits, codes in enumerate([_WHOLE, "", _CENTS, _MILLS, _FOUR])
    for code in codes.split()
}
"""ISO 4217 code of each currency in use → the number of its decimal places."""

WITHDRAWN_DIGITS = {"BYR": 0} | dict.fromkeys(
    ["ANG", "BGN", "CUC", "HRK", "LTL", "MRO", "SLL", "STD", "VEF", "ZMK", "ZWL"], 2
)
"""Codes that have left ISO 4217 → the number of their decimal places.

New prices cannot use them; old prices are still written. A code that leaves `MINOR_DIGITS` moves
here.
"""

_DIGITS = MINOR_DIGITS | WITHDRAWN_DIGITS

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,18})(?:\.([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency.

    `minor` is the number of minor units (cents, yen, fils) and `currency` a code of ISO 4217. As
    text, an amount is a plain decimal with exactly the decimal places of its currency: `12.50` EUR,
    `1250` JPY, `12.500` KWD. If this version does not know the currency of a stored amount, the
    text is `minor units: 1250`, which cannot be read as a decimal.
    """

    minor: int
    currency: str

    @classmethod
    def parse(cls, amount: str, currency: str) -> Self:
        """Read a plain decimal with at most the currency's decimal places.

        Raises `InvalidMoney` for any other text, for a currency that is not in use, and for more
        than `MAX_MINOR`.
        """
        match = _DECIMAL.fullmatch(amount)
        digits = MINOR_DIGITS.get(currency)
        if match is None or digits is None:
            raise InvalidMoney(
                "An amount must be a plain decimal such as 12.50, in a currency of ISO 4217."
            )
        whole, fraction = match[1], match[2] or ""
        if len(fraction) > digits:
            raise InvalidMoney(
                f"An amount in {currency} must have at most {digits} decimal places."
            )
        return cls(int(whole + fraction.ljust(digits, "0")), currency).require_storable()

    def require_storable(self) -> Self:
        """Return this amount. Raises `InvalidMoney` unless it is from 0 to `MAX_MINOR`."""
        if not 0 <= self.minor <= MAX_MINOR:
            raise InvalidMoney("An amount must be between 0 and 2^63-1 minor units.")
        return self

    def __str__(self) -> str:
        digits = _DIGITS.get(self.currency)
        if digits is None:
            return f"minor units: {self.minor}"
        if not digits:
            return str(self.minor)
        whole, fraction = divmod(abs(self.minor), 10**digits)
        return f"{'-' if self.minor < 0 else ''}{whole}.{fraction:0{digits}}"
