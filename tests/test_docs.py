"""Pages say what the code says: generated tables are up to date, commands can be run, links lead somewhere."""

import importlib
import importlib.util
import io
import json
import re
import shlex
import tokenize
from pathlib import Path

import pytest
import typer

from benchmarks import sheets, toys
from benchmarks.lines import fingerprint
from zerosum import recipes  # noqa: F401  (registers every part)
from zerosum.cli.main import app
from zerosum.core import compatibility, registry, settings
from zerosum.core.errors import RecipeError
from zerosum.data import Preparation
from zerosum.data import names as named_sets
from zerosum.recipes import read_recipe
from zerosum.runs.training.early import signals

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LOG = DOCS / "log"
METHODS = sorted((DOCS / "methods").glob("*.md"))
GUIDES = [*METHODS, DOCS / "tutorials.md", DOCS / "choosing.md"]
SHAPES = {  # of the data that commands name: shape, classes
    "dirac": ((1,), 0),
    "digits": ((1, 8, 8), 10),
    "mnist": ((1, 28, 28), 10),
    "fashion-mnist": ((1, 28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
    "ring8": ((2,), 0),
    "ring8-wide": ((2,), 0),
    "grid25": ((2,), 0),
    "photos/": ((3, 64, 64), 2),
    "horses-zebras/": ((3, 64, 64), 2),
    "faces/": ((3, 64, 64), 4),
    "pairs/": ((3, 64, 64), 0),
}


def load_generate():
    spec = importlib.util.spec_from_file_location("zerosum_docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generate()


LIKE_MNIST = {"digits", "mnist", "fashion-mnist"}
TUTORIALS = {"000": 31, "001": 28, "002": 19, "003": 19, "004": 13}  # items of each


def text(page):
    return page.read_text(encoding="utf-8")


def train_commands(page):
    """Arguments of every `zerosum train ...` of a page: on an indented line, or as code within one."""
    lines = re.findall(r"^    (zerosum train .*?)(?:\s+#.*)?$", text(page), re.MULTILINE)
    lines += [one for one in re.findall(r"`(zerosum train [^`]+)`", text(page)) if "NAME" not in one]
    return [shlex.split(line)[2:] for line in lines]


def split(words):
    """Data, recipe and settings of a command."""
    words, name = list(words), "dcgan"
    for option in ("--recipe", "-r"):
        if option in words:
            place = words.index(option)
            name = words[place + 1]
            del words[place : place + 2]
    if "--images" in words:
        place = words.index("--images")
        words[place : place + 2] = [f"length={words[place + 1]}"]
    plain = [word for word in words if "=" not in word]
    return (plain or ["digits"])[0], name, [word for word in words if "=" in word]


COMMANDS = sorted({(page.name, *map(str, words)) for page in GUIDES for words in train_commands(page)})
SETTINGS = sorted(
    {
        (page.name, word)
        for page in GUIDES
        for word in re.findall(r"`([a-z][a-z_.]*=[^`\s]+)`", generate.BLOCK.sub("", text(page)))
        if word != "field=value"
    }
)
PARTS = sorted(
    {
        (page.name, word)
        for page in GUIDES
        for word in re.findall(r"`([a-z0-9-]+:[a-z_]+=[^`\s]+)`", generate.BLOCK.sub("", text(page)))
    }
)


# ---------------------------------------------------------------------------- generated blocks


def test_generated_blocks_are_up_to_date(capsys):
    status = generate.main(["--check"])
    assert status == 0, capsys.readouterr().out


def test_a_stale_page_is_found_and_mended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    page = tmp_path / "methods" / "clip.md"
    page.parent.mkdir()
    page.write_text("Before.\n<!-- generated: part rule clip -->\n<!-- end -->\nAfter.\n", encoding="utf-8")
    assert generate.main([]) == 0
    good = text(page)
    assert "| `limit` | `0.01` | largest magnitude of a parameter |" in good
    assert good.startswith("Before.\n")
    assert good.endswith("\nAfter.\n")
    assert generate.main([]) == 0
    assert text(page) == good  # idempotent
    assert generate.main(["--check"]) == 0

    page.write_text(good.replace("0.01", "0.02"), encoding="utf-8")
    stale = text(page)
    capsys.readouterr()
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: methods/clip.md; run python -m docs.generate\n"
    assert text(page) == stale  # --check changes nothing
    assert generate.main([]) == 0
    assert text(page) == good


def test_every_finding_is_on_the_doctors_page():
    page = (generate.DOCS / "doctor.md").read_text()
    assert [f"| `{one.name}` | {one.severity} |" not in page for one in generate.SYMPTOMS] == [False] * len(
        generate.SYMPTOMS
    )
    assert len(generate.SYMPTOMS) >= 16


def test_unknown_options_are_refused(capsys):
    assert generate.main(["--chek"]) == 2
    assert capsys.readouterr().out == "usage: generate.py [--check]\n"


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("recipe wgan-gpp", "page.md, line 2: there is no recipe 'wgan-gpp'; .*wgan-gp"),
        ("part regularizer r7", "page.md, line 2: there is no regularizer 'r7'; .*r1"),
        ("part regularisation r1", "there is no kind of part called 'regularisation'"),
        ("points hinge hings", "page.md, line 2: benchmarks/toys.py has no method 'hings'"),
        ("points", "'generated: points' is no marker"),
        ("table r1", "'generated: table r1' is no marker; write 'recipe NAME', .*, 'small recipes' or 'findings'"),
    ],
)
def test_unknown_names_in_markers_are_errors(marker, message):
    page = f"Text.\n<!-- generated: {marker} -->\nOld.\n<!-- end -->\n"
    same, (fault,) = generate.render(page, "page.md")
    assert same == page
    assert re.search(message, fault)


@pytest.mark.parametrize(
    "page",
    [
        "<!-- generated: part rule clip -->\n",
        "<!-- end -->\n",
        "<!-- generated: part rule clip -->\n<!-- generated: part rule clip -->\n<!-- end -->\n",
    ],
    ids=["open", "closed twice", "nested"],
)
def test_markers_come_in_pairs(page):
    same, (fault,) = generate.render(page)
    assert same == page
    assert "needs its own '<!-- end -->'" in fault


def test_an_error_is_told_and_the_other_blocks_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    wrong, right = (
        "<!-- generated: recipe nothing -->\n<!-- end -->\n",
        "<!-- generated: part rule clip -->\n<!-- end -->\n",
    )
    (tmp_path / "a.md").write_text(wrong + right)
    assert generate.main([]) == 1
    assert re.match(r"error: a.md, line 1: there is no recipe 'nothing';.*\nrewrote a.md\n", capsys.readouterr().out)
    assert "| `limit` | `0.01` | largest magnitude of a parameter |" in text(tmp_path / "a.md")
    assert generate.main(["--check"]) == 1  # an error is an error, also where nothing is stale
    assert "stale" not in capsys.readouterr().out


def test_a_part_block_says_what_the_part_says():
    block, _ = generate.render("<!-- generated: part regularizer r1 -->\n<!-- end -->")
    part = registry.lookup("regularizer", "r1")
    assert registry.summary(part) in block
    for trait, why in part.clashes.items():
        assert f"- clashes with `{trait}`: {why}" in block
    assert re.findall(r"^\| `(\w+)`", block, re.MULTILINE) == list(registry.field_types(part))


def test_every_row_of_a_generated_table_says_what_it_is():
    for page in GUIDES:
        for block in generate.BLOCK.finditer(text(page)):
            empty = [line for line in block["body"].splitlines() if re.search(r"\|\s*\|$", line)]
            assert not empty, f"{page.name}: {empty}"


def test_a_recipe_block_rebuilds_the_recipe():
    """The table is complete and each row can be typed: gan with the rows as settings is the recipe."""
    block, _ = generate.render("<!-- generated: recipe wgan-gp -->\n<!-- end -->")
    rows = [f"{field}={value}" for field, value in re.findall(r"^\| `([\w.]+)` \| `([^`]*)` \|", block, re.MULTILINE)]
    rebuilt = read_recipe(generate.BASE, [*rows, "recipe=wgan-gp"])
    assert not settings.differences(read_recipe("wgan-gp"), rebuilt)
    assert len(rows) < 20


# ---------------------------------------------------------------------------- coverage


def test_every_recipe_is_named_by_a_page():
    pages = "\n".join(text(page) for page in METHODS)
    named = set(re.findall(r"`([a-z0-9-]+)`", pages)) | set(re.findall(r"--recipe ([a-z0-9-]+)", pages))
    recipes_ = registry.registered("recipe")
    missing = [name for name in recipes_ if name not in named and name.removesuffix("-small") not in named]
    assert not missing, f"no page names the recipes {missing}; a line in docs/methods that says what each is will do"


def test_every_image_recipe_shows_what_it_draws():
    shown = "".join(map(text, [*METHODS, DOCS / "speedrun.md"]))
    drawn = {path.stem for path in (DOCS / "sheets").rglob("*.png")}  # a new recipe has none before it was trained
    candidates = [name for name in sheets.candidates() if name in drawn]
    assert len(candidates) > 30
    missing = [name for name in candidates if f"<!-- generated: sheet {name} -->" not in shown]
    assert not missing, (
        f"no page shows {missing}; write <!-- generated: sheet NAME --> and <!-- end --> in docs/methods"
    )


def test_a_sheet_block_says_what_was_kept(tmp_path, monkeypatch):
    trained = {"recipe": "dcgan", "data": "mnist", "images": "300k", "settings": sheets.settings_of("dcgan", "300k")}
    line = trained | {"seed": 0, "sliced-wasserstein": 0.05, "command": "C"}
    other = line | {"data": "fashion-mnist", "sliced-wasserstein": 0.0625, "command": "F"}
    old = {"settings": "of another rate", "sliced-wasserstein": 9.0, "fd": 9.0}
    judged = trained | {"seed": 0, "words": [], "at": "last", "fd": 2.345, "floor.fd": 0.25}
    faster = {"words": ["batch=9"], "settings": sheets.settings_of("dcgan", "300k", ["batch=9"])}
    results = {
        "sheets": [other, line, line | old, line | old | {"recipe": "wgan"}],
        "leaderboard": [judged | {"seed": 1, "fd": 3.0}, judged, judged | faster, judged | old],
    }
    for name, lines in results.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    monkeypatch.setattr(generate, "RESULTS", tmp_path)
    block, faults = generate.render("<!-- generated: sheet dcgan -->\n<!-- end -->", "methods/dcgan.md")
    assert faults == []
    for data, title in (("mnist", "MNIST"), ("fashion-mnist", "Fashion-MNIST")):
        assert f"of {title}](../sheets/{data}/dcgan.png)" in block
    assert "*Samples after 300,000 images of MNIST, seed 0: `C`.*" in block
    assert "*Samples after 300,000 images of Fashion-MNIST, seed 0: `F`.*" in block
    assert "MNIST 0.050, Fashion-MNIST 0.062." in block
    assert "\nMNIST 2.35; 3 (floor 0.25).\n" in block
    block, _ = generate.render("<!-- generated: sheet wgan -->\n<!-- end -->")
    assert "`wgan` has no contact sheet yet: `python -m benchmarks.sheets --recipes wgan` draws it." in block


def test_a_block_of_points_says_what_was_kept(tmp_path, monkeypatch):
    def line(toy, method, seed, quality):
        return {"toy": toy, "method": method, "seed": seed, "settings": fingerprint(toys.recipe(toy, method)),
                "modes": 7.0, "high_quality": quality, "reverse_kl": 0.5, "last_modes": 6}  # fmt: skip

    kept = [line("grid", "hinge", 1, 0.25), line("grid", "hinge", 0, 0.125), line("grid", "top-k", 0, 1.0)]
    old = [line("ring", "hinge", 0, 0.75) | {"settings": "of another rate"}]
    (tmp_path / "toys.jsonl").write_text("".join(json.dumps(one) + "\n" for one in kept + old))
    monkeypatch.setattr(generate, "RESULTS", tmp_path)
    block, faults = generate.render("<!-- generated: points hinge -->\n<!-- end -->", "methods/hinge.md")
    assert faults == []
    assert "| hinge | 7, 7 | 12.5, 25.0 | 0.50, 0.50 | 6, 6 |" in block
    assert "### grid: grid25" in block
    assert "### ring" not in block
    assert "| top-k" not in block
    assert "![Points of hinge](../panels/hinge.png)" in block


def test_every_method_on_points_is_on_a_page():
    shown = [
        name
        for page in METHODS
        for names in re.findall("generated: points (.*?) -->", text(page))
        for name in names.split()
    ]
    assert set(shown) == set(toys.METHODS)


def test_every_page_has_a_picture():
    assert [page.name for page in METHODS if "![" not in text(page)] == ["README.md"]


def test_the_index_has_every_page():
    index = text(DOCS / "methods" / "README.md")
    linked = set(re.findall(r"\]\(([a-z0-9-]+\.md)\)", index))
    assert linked == {page.name for page in METHODS} - {"README.md"}


def test_pages_have_the_same_build():
    """The method first: what it is and its command, settings, traps, curves; measurements after that."""
    measured = ["## Measurements", "## On points"]
    for page in METHODS:
        if page.name == "README.md":
            continue
        title, *sections = re.findall(r"^(##? .*)$", text(page), re.MULTILINE)
        assert title.startswith("# "), page
        assert sections[:3] == ["## Settings", "## Details that matter", "## What the logged values mean"], page
        assert sections[3:] in (measured, measured[:1], measured[1:], []), page
        method, _, _ = text(page).partition("## Settings")
        assert "    zerosum train " in method, page
        assert "<!-- generated: " not in method, page
        assert "```text" in text(page), page
        assert re.search(r"arXiv\s+\d{4}\.\d{4,5}\b", text(page)), page


def anchors(page):
    """What links may name behind a '#': its headings as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for link, _, anchor in (one.partition("#") for one in re.findall(r"\]\(([^)]+)\)", text(page))):
            if not link.startswith("http"):
                target = page.parent / link if link else page
                assert target.exists(), f"{page.name}: {link}"
                assert not anchor or anchor in anchors(target), f"{page.name}: {link}#{anchor}"


def test_the_index_of_all_pages_has_each_of_them():
    linked = {(DOCS / one).resolve() for one in re.findall(r"\]\(([^)#]+\.md)\)", text(DOCS / "README.md"))}
    expected = {path.resolve() for path in [*DOCS.glob("*.md"), *METHODS, LOG / "README.md"]}
    assert linked == expected - {(DOCS / "README.md").resolve()} | {ROOT / "README.md"}


def test_the_small_recipes_are_listed():
    block, _ = generate.render("<!-- generated: small recipes -->\n<!-- end -->")
    small = {name.removesuffix("-small") for name in registry.registered("recipe") if name.endswith("-small")}
    assert set(re.findall(r"`([a-z0-9-]+)`", block)) == small


def test_pages_that_the_code_names_exist():
    for path in (ROOT / "src").rglob("*.py"):
        for name in re.findall(r"docs/[\w/.-]+\.md", text(path)):
            assert (ROOT / name).is_file(), f"{path}: {name}"


def test_the_log_lists_every_finding_newest_first():
    rows = re.findall(r"^\| (\S+?)(?:, \d\d)? \| \[.*?\]\(([a-z0-9-]+\.md)\)", text(LOG / "README.md"), re.MULTILINE)
    assert sorted(name for _, name in rows) == sorted({page.name for page in LOG.glob("*.md")} - {"README.md"})
    assert rows == sorted(rows, key=lambda row: row[0], reverse=True)
    for date, name in rows:
        dates = re.findall(r"^\*(\d{4}-\d\d-\d\d)\b", text(LOG / name), re.MULTILINE)
        assert date in dates, f"{name}: {dates}"


def test_every_item_of_the_tutorials_has_its_row():
    rows = re.findall(r"^\| (\d{3}-\d+) \|", text(DOCS / "tutorials.md"), re.MULTILINE)
    assert rows == [f"{name}-{item}" for name, count in TUTORIALS.items() for item in range(1, count + 1)]


def test_parts_that_pages_call_missing_are_missing():
    missing = {"seqgan", "lstm", "ppo"}
    registered = [name for kind in registry.kinds() for name in registry.registered(kind)]
    assert not [name for name in registered if missing & set(name.split("-"))], "docs/tutorials.md says it is not there"


# ---------------------------------------------------------------------------- logged values


OF_SETS = ("adversarial", "cycle", "identity")  # losses that a set has of its own


def logged():
    """Names that metrics.jsonl may hold: losses by player, and what parts with a memory let watch."""
    players = [f"discriminator{number}" for number in ("", "-1", "-2")]
    players += ["generator", "reconstructor", "encoder", "decoder", "translator"]
    of_sets = {f"{one}.{loss}-{s}" for one in ("generators", "discriminators") for loss in OF_SETS for s in "ab"}
    losses = [
        "adversarial",
        "distance",
        "reconstruction",
        "distortion",
        "rate",
        "identity",
        *registry.registered("regularizer"),
    ]
    parts = [(name, part) for kind in registry.kinds() for name, part in registry.registered(kind).items()]
    watched = [f"{name}.{value}" for name, part in parts for value in getattr(part, "watched", ())]
    return {f"{player}.{loss}" for player in players for loss in losses} | set(watched) | of_sets


def test_logged_values_exist():
    names = logged()
    for page in METHODS:
        _, _, values = text(page).partition("## What the logged values mean")
        values = values.partition("\n## ")[0]
        for name in re.findall(r"`([a-z0-9-]+\.[a-z0-9_-]+)`", values):
            assert name in names or name.endswith((".jsonl", ".txt")), f"{page.name}: {name}"


# ---------------------------------------------------------------------------- commands and settings


def test_options_of_commands_exist():
    """Every option that a page shows belongs to the command that it stands behind."""
    commands, seen = typer.main.get_command(app).commands, 0
    for page in [ROOT / "README.md", *DOCS.glob("*.md"), *METHODS]:
        for line in re.findall(r"^    (zerosum \w.*?)(?:\s+#.*)?$", text(page), re.MULTILINE):
            _, command, *words = shlex.split(line)
            options = {option for parameter in commands[command].params for option in parameter.opts}
            given = {word for word in words if re.match("--?[a-z]", word)}
            assert given <= options | {"-h"}, f"{page.name}: {line}"
            seen += len(given)
    assert seen > 50


def test_commands_were_found():
    assert len(COMMANDS) > 40
    assert len(SETTINGS) > 15


def test_small_pictures_get_small_recipes():
    """What is published for a GPU would take digits days on a CPU."""
    for page, *words in COMMANDS:
        data, name, _ = split(words)
        assert data not in LIKE_MNIST or f"{name}-small" not in registry.registered("recipe"), (
            f"{page}: {' '.join(words)}"
        )


def test_latents_of_sample_commands_are_latents():
    commands = {one for page in GUIDES for one in re.findall(r"zerosum sample [^\n`]*--latent (\S+?)[`\s]", text(page))}
    assert commands
    for one in commands:
        registry.parse("latent", one)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_can_be_run(command):
    """Recipe and settings are read; the recipe fits the data: traits, schedules, networks on the meta device."""
    data, name, words = split(command[1:])
    recipe = read_recipe(name, words)
    assert data in {*named_sets(), *SHAPES}
    shape, classes = SHAPES.get(data, (None, None))
    if shape is None:  # a set whose shape belongs to its own tests
        return
    if recipe.data != Preparation() and len(shape) == 3 and recipe.data.size != "auto":
        side = int(recipe.data.size.split("x")[0])
        shape = (shape[0], side, side)
    told = signals(recipe.data, shape, classes)
    compatibility.check(recipe.game, told, recipe.length.samples(1_000))


@pytest.mark.parametrize(("page", "word"), SETTINGS, ids=lambda one: one)
def test_settings_are_read_by_a_recipe(page, word):
    """Recipes that the page runs are tried first, then all."""
    own = [split(command[1:])[1] for command in COMMANDS if command[0] == page]
    faults = []
    for name in [*own, *registry.registered("recipe")]:
        try:
            read_recipe(name, [word])
        except RecipeError as error:
            faults.append(f"{name}: {error}")
        else:
            return
    pytest.fail("\n".join(faults[:3]))


@pytest.mark.parametrize(("page", "word"), PARTS, ids=lambda one: one)
def test_texts_of_parts_are_parsed(page, word):
    name = word.partition(":")[0]
    kinds = [kind for kind in registry.kinds() if kind != "recipe" and name in registry.registered(kind)]
    assert kinds, f"{page}: no part is called {name!r}"
    for kind in kinds:
        assert registry.parse(kind, word).name == name


def glossary() -> list[tuple[str, str, str]]:
    """Word, name in the code, and words of earlier versions, of each row of the glossary."""
    rows = re.findall(
        r"^\| (.+?) \| (?:`(.+?)`)? ?\| .+? \| ?(.*?) ?\|$", (DOCS / "glossary.md").read_text(), re.MULTILINE
    )
    return rows[1:]


@pytest.mark.parametrize("name", [name for _, name, _ in glossary() if name])
def test_what_the_glossary_names_is_there(name):
    module, *path = "zerosum", *name.split(".")
    found = importlib.import_module(module)
    for word in path:
        found = getattr(found, word, None) or importlib.import_module(f"{found.__name__}.{word}")
    assert found.__doc__


def test_words_of_earlier_versions_are_gone():
    gone = {word for *_, former in glossary() for word in former.split(", ") if word}
    assert len(gone) > 7
    files = [path for path in (ROOT / "src").rglob("*.py") if path.name != "former.py"]
    used = {word: path for path in files for word in gone if re.search(rf"\b_?{word}s?\b", names_of(path))}
    assert used == {}


def names_of(path: Path) -> str:
    """Identifiers of a file, a line each."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return "\n".join(token.string for token in tokens if token.type == tokenize.NAME)
