"""Files and functions stay small enough to be read at one go."""

from __future__ import annotations

from statistics import median, quantiles

from tidy_tree import functions, is_test, shown, text_of, written_files

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_MEDIAN_MAX = 8
FUNCTION_LINES_P90_MAX = 30


def lengths() -> list[int]:
    """Return the length of every function that is no test."""
    return [each.lines_count for each in functions() if not is_test(each.path)]


def test_the_repository_is_seen() -> None:
    assert len(written_files()) > 50, "git ls-files gives next to nothing: what these tests say is void"
    assert len(lengths()) > 50


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    counts = {shown(path): len(text_of(path).splitlines()) for path in written_files()}
    long = {name: count for name, count in counts.items() if count > FILE_LINES_MAX}

    assert long == {}, f"split these by what they are about: {long}"


def test_no_function_is_longer_than_seventy_lines() -> None:
    long = [str(each) for each in functions() if each.lines_count > FUNCTION_LINES_MAX]

    assert long == [], "give the parts of these names of their own:\n" + "\n".join(long)


def test_half_of_the_functions_have_eight_lines_or_fewer() -> None:
    found = median(lengths())

    assert found <= FUNCTION_LINES_MEDIAN_MAX, f"the median function has {found} lines: split what grew last"


def test_nine_in_ten_functions_have_thirty_lines_or_fewer() -> None:
    found = quantiles(lengths(), n=10)[-1]
    longest = sorted(
        (each for each in functions() if not is_test(each.path)), key=lambda each: each.lines_count
    )

    assert found <= FUNCTION_LINES_P90_MAX, f"p90 is {found} lines; the longest: " + ", ".join(
        str(each) for each in longest[-10:]
    )
