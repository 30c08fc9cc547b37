"""What the guest's administrator allows session agents."""

from pathlib import Path

import pytest

from guestmux_session.session_config import DEFAULTS, NOTHING, SessionConfig, read_session_config


def test_without_a_file_the_defaults_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_session_config(tmp_path / "none") is DEFAULTS
    assert DEFAULTS.clipboard == "active"
    assert not caplog.text


def test_the_clipboard_can_be_switched_off(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("clipboard = 'never'\n")
    assert read_session_config(path) == SessionConfig(clipboard="never")


@pytest.mark.parametrize("schemes", [["file", "x-guestmux+1.0"], ["*"], []])
def test_schemes_can_be_chosen(tmp_path: Path, schemes: list[str]) -> None:
    path = tmp_path / "file"
    path.write_text(f"uri-schemes = {schemes}\n")
    assert read_session_config(path) == SessionConfig(uri_schemes=tuple(schemes))


@pytest.mark.parametrize(
    "text",
    [
        "clipboard = ",
        "clipboard = 'yes'",
        "clipbord = 'always'",
        "clipboard = 'always'\n\xff",
        "uri-schemes = ['http:']",
        "uri-schemes = ['HTTP']",
        "uri-schemes = 'http'",
        "left-to-others = ['session list']",
        "left-to-others = 'APP_*'",
    ],
)
def test_what_is_written_wrongly_allows_nothing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="latin-1")
    assert read_session_config(path) is NOTHING
    assert "nothing is allowed" in caplog.text
