"""D-Bus type signatures: split into complete types, and refused where the bus would refuse them."""

from functools import lru_cache

from guestmux_transport.errors import InvalidValue

BASIC_TYPES = frozenset("ybnqiuxtdsogh")

# D-Bus specification, "Valid Signatures": 255 bytes, 32 arrays and 32 structs deep.
MAX_LENGTH = 255
MAX_ARRAYS = 32
MAX_STRUCTS = 32


# One entry per signature in use; a peer that sends ever new ones only turns old ones out.
@lru_cache(maxsize=512)
def split(signature: str) -> tuple[str, ...]:
    """Split a signature into its complete types: "sa{sv}" gives ("s", "a{sv}").

    Raises:
        InvalidValue: it is not a valid signature.
    """
    if len(signature) > MAX_LENGTH:
        raise InvalidValue(
            f"a D-Bus signature of {len(signature)} characters, at most {MAX_LENGTH} are allowed"
        )
    types = []
    start = 0
    while start < len(signature):
        end = _end_of_type(signature, start, 0, 0)
        types.append(signature[start:end])
        start = end
    return tuple(types)


def check_single(signature: str) -> None:
    """Check that it is exactly one complete type, as a variant needs.

    Raises:
        InvalidValue: it is not.
    """
    if len(split(signature)) != 1:
        raise InvalidValue(f"a variant needs one complete type, got {signature!r}")


def _end_of_type(signature: str, start: int, arrays: int, structs: int) -> int:
    code = signature[start : start + 1]
    if code == "v" or code in BASIC_TYPES:
        return start + 1
    if code == "a":
        if arrays == MAX_ARRAYS:
            raise InvalidValue(f"more than {MAX_ARRAYS} arrays in one another in a signature")
        if signature[start + 1 : start + 2] == "{":
            return _end_of_entry(signature, start + 2, arrays + 1, structs)
        return _end_of_type(signature, start + 1, arrays + 1, structs)
    if code == "(":
        if structs == MAX_STRUCTS:
            raise InvalidValue(f"more than {MAX_STRUCTS} structs in one another in a signature")
        return _end_of_struct(signature, start + 1, arrays, structs + 1)
    raise InvalidValue(f"not a valid D-Bus signature: {signature!r}")


def _end_of_struct(signature: str, start: int, arrays: int, structs: int) -> int:
    end = _end_of_type(signature, start, arrays, structs)
    while signature[end : end + 1] != ")":
        end = _end_of_type(signature, end, arrays, structs)
    return end + 1


def _end_of_entry(signature: str, start: int, arrays: int, structs: int) -> int:
    if signature[start : start + 1] not in BASIC_TYPES:
        raise InvalidValue(f"a dictionary's keys must be of a basic type: {signature!r}")
    end = _end_of_type(signature, start + 1, arrays, structs)
    if signature[end : end + 1] != "}":
        raise InvalidValue(f"not a valid D-Bus signature: {signature!r}")
    return end + 1
