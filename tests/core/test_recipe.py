"""Recipes: what a user may write, what wins, and what an error says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from candor.base.recipe import BaseRecipe
from candor.core.errors import InputError
from candor.core.recipe import Settings, changed, describe, differences, read_recipe, to_toml
from candor.knowledge.recipe import KnowledgeRecipe


class Probe(Settings):
    samples: int = Field(default=8, ge=1, description="Sampled answers a question.")
    temperature: float = Field(default=0.7, description="Temperature of the samples.")
    layers: tuple[int, ...] | None = Field(default=None, description="Layers kept.")


class Recipe(Settings):
    name: str = Field(default="smollm2", description="Which model.")
    folder: Path | None = Field(default=None, description="Where documents lie.")
    probe: Probe = Probe()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text('name = "from file"\n[probe]\nsamples = 2\ntemperature = 0.2\n')
    return path


def test_overrides_win_over_options_and_options_over_the_file_and_the_file_over_defaults(file: Path) -> None:
    options = {"probe.samples": 3, "probe.temperature": 0.3, "folder": None}
    recipe = read_recipe(Recipe, file, ["probe.samples=4"], options)
    assert (recipe.probe.samples, recipe.probe.temperature, recipe.name) == (4, 0.3, "from file")
    assert recipe.folder is None
    assert read_recipe(Recipe, None).name == "smollm2"


def test_of_two_overrides_the_later_wins() -> None:
    assert read_recipe(Recipe, None, ["probe.samples=4", "probe.samples=5"]).probe.samples == 5


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("name=bare words", "bare words"),
        ('name="quoted"', "quoted"),
        ("name=org/model-7B", "org/model-7B"),
        ("name=", ""),
        ("name=a=b", "a=b"),
        ("name = spaced ", "spaced"),
        ('name="a"\nfolder="b"', '"a"\nfolder="b"'),  # one value, whatever it looks like
    ],
)
def test_override_text_is_toml_or_else_plain_text(override: str, expected: str) -> None:
    assert read_recipe(Recipe, None, [override]).name == expected


def test_override_none_unsets_an_option(file: Path) -> None:
    file.write_text('folder = "notes"\n')
    assert read_recipe(Recipe, file).folder == Path("notes")
    assert read_recipe(Recipe, file, ["folder=none"]).folder is None


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("probe.sampels=4", "probe.samples"),
        ("samples=4", "probe.samples"),  # the table forgotten
        ("build.temperature=1", "probe.temperature"),  # the wrong table
        ("probee.samples=4", "probe"),  # the table misspelled
        ("model.nam=x", "model.name"),
        ("max_over_refusal=.2", "build.max_over_refusal"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_valid_one(override: str, meant: str) -> None:
    with pytest.raises(InputError, match="unknown key") as caught:
        read_recipe(KnowledgeRecipe, None, [override])
    assert caught.value.fix is not None
    assert f"did you mean '{meant}'?" in caught.value.fix
    assert caught.value.field is not None
    assert override.startswith(caught.value.field)


def test_key_like_no_other_is_still_named() -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(Recipe, None, ["qqqq=4"])
    assert caught.value.field == "qqqq"
    assert "recipe show" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("override", "key", "description"),
    [
        ("probe.samples=0", "probe.samples", "Sampled answers a question."),
        ("probe.samples=many", "probe.samples", "Sampled answers a question."),
        ("probe.layers=x", "probe.layers", "Layers kept."),
        ('probe.layers=[1, "x"]', "probe.layers", "Layers kept."),
    ],
)
def test_bad_value_names_the_key_and_what_it_means(override: str, key: str, description: str) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(Recipe, None, [override])
    assert caught.value.field == key
    assert caught.value.fix == f"{key}: {description}"


def test_bad_value_of_a_union_is_named_without_the_types_that_were_tried() -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(KnowledgeRecipe, None, ["probe.layers=some"])
    assert caught.value.field == "probe.layers"


def test_value_for_a_whole_table_says_what_is_in_it() -> None:
    with pytest.raises(InputError, match="is a table of settings") as caught:
        read_recipe(Recipe, None, ["probe=3"])
    assert "probe.samples" in str(caught.value.fix)


def test_setting_inside_a_setting_is_refused(file: Path) -> None:
    with pytest.raises(InputError, match="'name' is not a table"):
        read_recipe(Recipe, file, ["name.inner=3"])


def test_override_without_equals_shows_how_to_write_one() -> None:
    with pytest.raises(InputError, match="expected key=value"):
        read_recipe(Recipe, None, ["probe.samples"])


def test_error_in_a_file_names_the_file(file: Path) -> None:
    file.write_text("[probe]\nsampels = 2\n")
    with pytest.raises(InputError, match="unknown key") as caught:
        read_recipe(Recipe, file)
    assert caught.value.path == file


@pytest.mark.parametrize("content", [b"[probe\n", b"name = \n", b"\xff\xfe"])
def test_broken_toml_names_the_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match="not valid TOML") as caught:
        read_recipe(Recipe, file)
    assert caught.value.path == file


def test_recipe_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(InputError) as caught:
            read_recipe(Recipe, path)
        assert caught.value.path == path


def test_windows_byte_order_mark_is_no_error(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_recipe(Recipe, file).name == "from file"


def test_path_in_another_encoding_is_told_since_no_recipe_file_could_hold_it() -> None:
    for options, key in (({"folder": Path("caf\udce9")}, "folder"), ({"name": "caf\udce9"}, "name")):
        with pytest.raises(InputError, match="not UTF-8") as caught:
            read_recipe(Recipe, None, options=options)
        assert caught.value.field == key
        str(caught.value).encode()  # and can be printed


def test_defaults_are_validated_too() -> None:
    class Wrong(Settings):
        count: int = Field(default=0, ge=1)

    with pytest.raises(InputError):
        read_recipe(Wrong, None)


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
    samples=st.integers(1, 2**31),
    temperature=st.floats(allow_nan=False, allow_infinity=False),
    layers=st.none() | st.lists(st.integers(-5, 99)).map(tuple),
    folder=st.none() | st.sampled_from([Path("a/b c"), Path('quo"te'), Path("[x]"), Path("ü = 1")]),
)
@settings(max_examples=60, deadline=None)
def test_toml_reads_back_as_the_same_recipe_with_and_without_comments(
    name: str, samples: int, temperature: float, layers: tuple[int, ...] | None, folder: Path | None
) -> None:
    probe = Probe(samples=samples, temperature=temperature, layers=layers)
    recipe = Recipe(name=name, folder=folder, probe=probe)
    for comments in (False, True):
        assert Recipe.model_validate(tomllib.loads(to_toml(recipe, comments=comments))) == recipe


def test_shown_knowledge_recipe_reads_back_as_itself_and_explains_every_setting(tmp_path: Path) -> None:
    recipe = read_recipe(KnowledgeRecipe, None, ["probe.layers=[1, 2]", "data.documents=a b/[c]"])
    file = tmp_path / "shown.toml"
    file.write_text(to_toml(recipe, comments=True), encoding="utf-8")
    assert read_recipe(KnowledgeRecipe, file) == recipe
    comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    for key, info in describe(KnowledgeRecipe):
        if key != "kind":
            assert info.description, f"{key} has no description"
            assert any(line.endswith(info.description) for line in comments), f"{key} is not explained"


def test_unset_settings_are_shown_as_comments() -> None:
    shown = to_toml(Recipe(), comments=True)
    assert "# folder: not set. Where documents lie." in shown
    assert "# probe.layers: not set." in shown


def test_differences_name_each_changed_setting_and_both_values() -> None:
    old = Recipe()
    new = Recipe(name="other", probe=Probe(samples=9))
    assert differences(old, new) == ["name: 'smollm2' → 'other'", "probe.samples: 8 → 9"]
    assert differences(old, Recipe()) == []
    assert differences(old, Recipe(folder=Path("x"))) == ["folder: None → 'x'"]


def test_every_default_of_a_knowledge_recipe_is_allowed_where_it_is_written() -> None:
    """What `to_toml` leaves out (None) has to be the default, or reading back would change it."""
    for key, info in describe(KnowledgeRecipe):
        if type(None) in getattr(info.annotation, "__args__", ()):
            assert info.default is None, f"{key}: unset could not be written to a recipe"


class Trained(Settings):
    rate: float = Field(default=1.0, description="Rate.")
    epochs: int = Field(default=1, description="Passes.")
    place: Probe = Probe()


class Job(Settings):
    train: Trained = Trained(rate=5.0, epochs=7, place=Probe(samples=9))


@pytest.mark.parametrize(
    ("override", "expected"),
    [("train.epochs=2", (5.0, 2, 9)), ("train.place.samples=3", (5.0, 7, 3)), ("train.rate=2", (2.0, 7, 9))],
)
def test_naming_one_setting_of_a_table_leaves_the_recipes_others(override, expected):
    found = read_recipe(Job, None, [override]).train
    assert (found.rate, found.epochs, found.place.samples) == expected


def test_a_files_table_does_too(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text("[train]\nepochs = 3\n")
    assert read_recipe(Job, file).train == Trained(rate=5.0, epochs=3, place=Probe(samples=9))


def test_keys_with_nothing_between_their_dots_are_refused() -> None:
    for override in ("=3", ".=3", "probe..samples=3"):
        with pytest.raises(InputError, match="expected key=value"):
            read_recipe(Recipe, None, [override])


def test_infinity_is_no_number_of_anything() -> None:
    with pytest.raises(InputError, match="finite number") as caught:
        read_recipe(BaseRecipe, None, ["train.epochs=inf"])
    assert caught.value.field == "train.epochs"


@pytest.mark.parametrize("value", ["3", "[]", '{path = "notes"}', "notes"])
def test_what_is_no_list_of_tables_is_told_how_to_write_one(value: str) -> None:
    with pytest.raises(InputError, match="list of one table or more") as caught:
        read_recipe(BaseRecipe, None, [f"corpus.sources={value}"])
    assert caught.value.field == "corpus.sources"
    assert "[[corpus.sources]]" in str(caught.value.fix)


def test_a_wrong_value_in_a_list_of_tables_is_named_with_its_entry(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('[[corpus.sources]]\npath = "a"\n[[corpus.sources]]\npath = "b"\ndocuments = 0\n')
    with pytest.raises(InputError, match=r"greater than or equal to 1 \(entry 2\)") as caught:
        read_recipe(BaseRecipe, file)
    assert caught.value.field == "corpus.sources.documents"
    file.write_text('[[corpus.sources]]\npaht = "a"\n')
    with pytest.raises(InputError, match=r"unknown key \(entry 1\)") as caught:
        read_recipe(BaseRecipe, file)
    assert "'corpus.sources.path'" in str(caught.value.fix)


def test_a_recipe_for_another_command_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('kind = "knowledge"\n')
    with pytest.raises(InputError, match="for another command") as caught:
        read_recipe(BaseRecipe, tmp_path / "r.toml")
    assert "candor recipe show base" in str(caught.value.fix)


@pytest.mark.parametrize(
    "override",
    [
        "corpus.repeated=[0]",
        "corpus.stated=[[-1, 4]]",
        "corpus.filters.language=English",
        "model.width=100",
        "seed=99999999999999999999",
    ],
)
def test_base_settings_that_mean_nothing_are_refused_before_any_work(override: str) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(BaseRecipe, None, [override])
    assert caught.value.field == override.partition("=")[0]


def test_difference_inside_a_list_of_tables_is_told_and_nothing_else() -> None:
    old, new = (
        read_recipe(BaseRecipe, None, [f"corpus.sources=[{{path='a'}}, {{path='b', filtered={word}}}]"])
        for word in ("true", "false")
    )
    assert differences(old, new) == ["corpus.sources.2.filtered: True → False"]
    shown = to_toml(new, comments=True)
    assert "corpus.sources.hub: not set" in shown
    assert "corpus.sources.path: not set" not in shown


def test_a_source_whose_path_is_not_utf8_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not UTF-8 text") as caught:
        read_recipe(BaseRecipe, None, ["corpus.sources=[{path='\udcff'}]"])
    assert caught.value.field == "corpus.sources.1.path"


class Inner(Settings):
    a: int = 1
    b: int = 2


class Middle(Settings):
    inner: Inner = Inner()
    c: int = 3


class Nested(Settings):
    middle: Middle = Middle(inner=Inner(a=10, b=20), c=30)


def test_naming_a_setting_deep_inside_leaves_the_defaults_around_it_as_the_recipe_has_them():
    found = read_recipe(Nested, None, ["middle.inner.a=5"])
    assert found.middle == Middle(inner=Inner(a=5, b=20), c=30)
    assert read_recipe(Nested, None, ["middle.c=4"]).middle == Middle(inner=Inner(a=10, b=20), c=4)


def test_what_differs_is_the_same_of_recipes_and_of_their_toml() -> None:
    """Values that are not set stand in no TOML file; they count as None, as in the recipe itself."""
    old, new = {"seed": 0, "tune": {"rate": 1e-3}}, {"seed": 0, "tune": {"rate": 1e-4, "track": "trackio"}}
    assert changed(old, new) == [("tune.rate", 1e-3, 1e-4), ("tune.track", None, "trackio")]
    assert changed(new, new) == []
    assert changed({"sources": [{"path": "a"}]}, {"sources": [{"path": "b"}]}) == [
        ("sources.1.path", "a", "b")
    ]
