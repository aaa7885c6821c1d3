import re

import pytest

from rnnbench.paths import conf_dir


def make(folder):
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    return folder


def test_conf_lies_inside_the_package_of_a_wheel(tmp_path):
    package = tmp_path / "rnnbench"
    inside = make(package / "conf")
    make(tmp_path / "conf")  # somebody else's, in site-packages
    assert conf_dir(package) == inside


def test_conf_lies_beside_the_package_of_a_checkout(tmp_path):
    package = tmp_path / "rnnbench"
    (package / "conf").mkdir(parents=True)  # without config.yaml it does not count
    beside = make(tmp_path / "conf")
    assert conf_dir(package) == beside


def test_missing_conf_is_one_line_that_names_both_places(tmp_path):
    package = tmp_path / "rnnbench"
    with pytest.raises(FileNotFoundError, match=re.escape(str(package / "conf"))) as error:
        conf_dir(package)
    assert str(tmp_path / "conf") in str(error.value)
    assert "\n" not in str(error.value)


def test_this_installation_has_it():
    assert (conf_dir() / "config.yaml").is_file()
    assert conf_dir().is_absolute()
