import pytest

from hub_models.checkpoints.hub_id import is_hub_id, split_revision


@pytest.mark.parametrize("name", ["someone/lung-xrays", "a/b.c_d", "some-one/x1"])
def test_user_and_name_are_a_hub_id(name):
    assert is_hub_id(name)
    assert split_revision(name) == (name, None)
    assert split_revision(f"{name}@v1.0") == (name, "v1.0")
    assert split_revision(f"{name}@refs/pr/1") == (name, "refs/pr/1")


@pytest.mark.parametrize(
    "name", [None, "", "lung-xrays", "a/b/c", "a b/c", "a/../c", "a/-b", "a/b--c", "https://x/y", "/b", "a/"]
)
def test_what_the_hub_would_not_take_is_not(name):
    assert not is_hub_id(name)
    assert split_revision(name or "") is None


@pytest.mark.parametrize("name", ["a/b@", "a/b@x y", "@v1", "b@v1"])
def test_a_revision_belongs_to_a_hub_id_and_is_not_blank(name):
    assert split_revision(name) is None
