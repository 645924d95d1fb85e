"""Records beside results: where they are, and that a wrong, foreign or edited file is one line that names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from equal_losses.running.errors import InputError
from equal_losses.running.files import read_json, write_json
from equal_losses.running.records import RECORD, check, digest, is_made, record_of, seal

MADE_OF = {"settings": {"loss": "CE"}, "code": {"train.py": "0" * 20}, "inputs": {"dataset": "1" * 20}}
KEY = digest(MADE_OF)
OTHER = {**MADE_OF, "settings": {"loss": "FL"}}


def result(folder: Path, made_of: dict = MADE_OF) -> list[Path]:
    """A sealed result of two files in the folder that its key names, one of them in a folder below."""
    paths = [folder / digest(made_of) / "final.safetensors", folder / digest(made_of) / "CE" / "history.csv"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.name} of {made_of['settings']['loss']}")
    seal(paths, made_of)
    return paths


@pytest.fixture
def final(tmp_path) -> Path:
    """A file of a sealed result."""
    return result(tmp_path)[0]


def edit(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes})


def refusal(path: Path, key: str = KEY) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as raised:
        check(path, key)
    (line,) = str(raised.value).splitlines()
    return line


# Keys


def test_a_key_is_twenty_digits_that_the_order_of_the_settings_does_not_change():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert len(digest({})) == 20
    assert digest({"b": [3, 2], "a": 1}) != digest({"b": [2, 3], "a": 1})


def test_what_is_not_a_number_has_no_key():
    with pytest.raises(ValueError):
        digest({"learning_rate": float("nan")})


# Places


@pytest.mark.parametrize(
    ("path", "record"),
    [
        (f"runs/{KEY}/final.safetensors", f"runs/{KEY}/key.json"),
        (f"stacks/{KEY}/CE/seed1/final.safetensors", f"stacks/{KEY}/key.json"),
        (f"runs/{'2' * 20}/nc_metrics/{KEY}.csv", f"runs/{'2' * 20}/nc_metrics/{KEY}.json"),
        ("tables/small/runs.csv", "tables/small/runs.json"),
    ],
    ids=["folder with the key", "folder below it", "file with the key", "name of its own"],
)
class TestPlaces:
    def test_the_record_is_beside_what_the_key_names(self, path, record):
        assert record_of(path, KEY) == Path(record)

    def test_a_sealed_file_passes_and_so_does_its_record(self, tmp_path, path, record):
        path = tmp_path / path
        path.parent.mkdir(parents=True)
        path.write_text("1")
        seal([path], MADE_OF)
        assert is_made(tmp_path / record, KEY)
        check(path, KEY)
        check(tmp_path / record, KEY)

    def test_a_flipped_bit_is_one_line_that_names_the_file(self, tmp_path, path, record):
        path = tmp_path / path
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1")
        seal([path], MADE_OF)
        path.write_bytes(b"0")
        record = tmp_path / record
        assert refusal(path) == (
            f"{path}: changed since it was written, its checksum is not the one in {record}; "
            f"remove it and {record}, and run the workflow again to have it made anew"
        )


def test_a_record_says_what_the_result_is_made_of_and_not_its_own_checksum(tmp_path, final):
    record = final.parent / RECORD
    seal([final, record], MADE_OF)
    content = read_json(record)
    assert list(content.pop("files")) == ["final.safetensors"]
    assert content == {"key": KEY, **MADE_OF}


def test_files_of_one_step_with_names_of_their_own_have_a_record_each(tmp_path):
    for name in ("runs.csv", "trajectories.csv"):
        (tmp_path / name).write_text(name)
    seal([tmp_path / "runs.csv", tmp_path / "trajectories.csv"], MADE_OF)
    assert list(read_json(tmp_path / "runs.json")["files"]) == ["runs.csv"]
    assert list(read_json(tmp_path / "trajectories.json")["files"]) == ["trajectories.csv"]


def test_a_result_of_which_a_file_is_missing_cannot_be_sealed(tmp_path):
    path = tmp_path / KEY / "final.safetensors"
    path.parent.mkdir()
    with pytest.raises(FileNotFoundError):
        seal([path], MADE_OF)
    assert not (path.parent / RECORD).exists()


# What can be wrong


def swap(final: Path) -> None:
    """As large as it was, and of the same result."""
    shutil.copy(final.parent / "CE" / "history.csv", final)


def take_the_folder_of_another_result(final: Path) -> None:
    (theirs, _) = result(final.parents[1], OTHER)
    shutil.rmtree(final.parent)
    shutil.copytree(theirs.parent, final.parent)


def take_the_record_of_another_result(final: Path) -> None:
    (theirs, _) = result(final.parents[1], OTHER)
    shutil.copy(theirs.parent / RECORD, final.parent / RECORD)


def edit_the_settings(final: Path) -> None:
    edit(final.parent / RECORD, settings=OTHER["settings"])


def edit_the_code(final: Path) -> None:
    edit(final.parent / RECORD, code={})


def edit_the_inputs(final: Path) -> None:
    edit(final.parent / RECORD, inputs={"dataset": "2" * 20})


def edit_the_key(final: Path) -> None:
    edit(final.parent / RECORD, key=digest(OTHER))


def forget_the_file(final: Path) -> None:
    edit(final.parent / RECORD, files={})


def forget_all_files(final: Path) -> None:
    edit(final.parent / RECORD, files=None)


def remove(final: Path) -> None:
    final.unlink()


def remove_the_record(final: Path) -> None:
    (final.parent / RECORD).unlink()


def truncate_the_record(final: Path) -> None:
    (final.parent / RECORD).write_text('{"key": ')


def empty_the_record(final: Path) -> None:
    (final.parent / RECORD).write_text("[]")


ANEW = "run the workflow again to have it made anew"
FOREIGN = f"made of other settings, code or inputs; expected key {KEY}; "
WRONG = {
    swap: ("final.safetensors: changed since it was written", ANEW),
    take_the_folder_of_another_result: (f"final.safetensors: {FOREIGN}", ANEW),
    take_the_record_of_another_result: (f"final.safetensors: {FOREIGN}", ANEW),
    edit_the_settings: (f"final.safetensors: {FOREIGN}", ANEW),
    edit_the_code: (f"final.safetensors: {FOREIGN}", ANEW),
    edit_the_inputs: (f"final.safetensors: {FOREIGN}", ANEW),
    edit_the_key: (f"final.safetensors: {FOREIGN}", ANEW),
    forget_the_file: ("final.safetensors: not in its record ", ANEW),
    forget_all_files: ("final.safetensors: not in its record ", ANEW),
    remove: ("final.safetensors: missing, although its record ", ANEW),
    remove_the_record: ("key.json: No such file or directory; ", "expected a readable JSON file"),
    truncate_the_record: ("key.json: not JSON: ", "expected the file as it was written"),
    empty_the_record: ("key.json: holds list; ", "expected a JSON object"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda function: function.__name__)
def test_what_is_wrong_is_one_line_that_names_the_file(final, wrong: Callable[[Path], None]):
    wrong(final)
    what, end = WRONG[wrong]
    line = refusal(final)
    assert line.startswith(f"{final.parent}/{what}")
    assert line.endswith(end)


@pytest.mark.parametrize(
    "wrong",
    [edit_the_key, take_the_folder_of_another_result, forget_all_files, remove, remove_the_record, truncate_the_record],
    ids=lambda function: function.__name__,
)
def test_such_a_result_is_not_made(final, wrong: Callable[[Path], None]):
    assert is_made(final.parent / RECORD, KEY)
    wrong(final)
    assert not is_made(final.parent / RECORD, KEY)
