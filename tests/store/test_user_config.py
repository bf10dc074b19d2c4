"""One value of the user's own config file changes, and nothing else."""

import pytest

from sat.errors import SatError
from sat.store.user_config import set_value

TEXT = """\
# The study
images:   # what is shown
  root: "über/bilder"  # a folder
  attack_images: 320   # a first look
  canvas: 32
variants: {few: {attack_images: 100}}
"""
KEYS = ("images", "attack_images")


def test_only_the_number_changes(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(TEXT, encoding="utf-8")
    assert set_value([file], KEYS, "640", lambda: None) == file
    assert file.read_text(encoding="utf-8") == TEXT.replace("320", "640")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_braces_and_line_ends_stay(tmp_path, end):
    file = tmp_path / "study.yaml"
    raw = end.join(["images: {attack_images: 320, canvas: 32}", "seed: 320", ""]).encode()
    file.write_bytes(raw)
    set_value([file], KEYS, "640", lambda: None)
    assert file.read_bytes() == raw.replace(b"320,", b"640,")


def test_of_several_files_the_last_that_has_the_key_changes(tmp_path):
    files = [tmp_path / f"{name}.yaml" for name in "abc"]
    for file, text in zip(files, (TEXT, "images: {attack_images: 100}\n", "seed: 1\n"), strict=True):
        file.write_text(text)
    assert set_value(files, KEYS, "640", lambda: None) == files[1]
    assert files[0].read_text() == TEXT


def test_a_study_that_is_not_valid_with_it_is_restored(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(TEXT)

    def refuse():
        raise SatError("too many")

    with pytest.raises(SatError, match="too many"):
        set_value([file], KEYS, "640", refuse)
    assert file.read_text() == TEXT


@pytest.mark.parametrize("text", ["", "seed: 1\n", "images: null\n", "images: [1]\n"])
def test_a_missing_key_is_named(tmp_path, text):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(SatError, match=r"study\.yaml: has no key 'images\.attack_images'"):
        set_value([file], KEYS, "640", lambda: None)
