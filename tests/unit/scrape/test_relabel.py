"""Rules that choose, rename and label targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgauge.errors import ConfigError
from agentgauge.scrape.discovery import Discovery
from agentgauge.scrape.relabel import relabelled, rules_from_file, rules_from_toml
from agentgauge.scrape.target import Target, target_from_address


def through(rules: str, address: str = "10.0.0.1:8001", **labels: str) -> Target | None:
    """Return a target as rules leave it."""
    return relabelled(target_from_address(address, labels), rules_from_toml(rules))


def test_replace_sets_a_label_from_others() -> None:
    """Groups fill the replacement; what does not match changes nothing."""
    rules = """
        [[relabel]]
        source_labels = ["__address__", "team"]
        regex = '([^:]+):(?P<port>\\d+);(.+)'
        target_label = "place"
        replacement = "${1}/$3/${port}$9"
    """
    target = through(rules, team="blue")
    assert target is not None
    assert dict(target.labels) == {
        "instance": "10.0.0.1:8001", "job": "agentgauge", "team": "blue", "place": "10.0.0.1/blue/8001",
    }  # fmt: skip
    assert target.url == "http://10.0.0.1:8001/metrics"
    bare = through(rules)
    assert bare is not None and "place" not in dict(bare.labels)


def test_keep_and_drop_choose() -> None:
    """keep leaves what matches, drop the rest; the whole value must match."""
    keep = '[[relabel]]\naction = "keep"\nsource_labels = ["team"]\nregex = "blue|green"'
    assert through(keep, team="blue") is not None
    assert through(keep, team="blueish") is None
    assert through(keep.replace("keep", "drop"), team="blue") is None
    assert through(keep.replace("keep", "drop"), team="red") is not None


def test_labelmap_labeldrop_and_labelkeep_work_on_names() -> None:
    """Names that match are copied under new ones, left out, or all that is left."""
    mapped = through('[[relabel]]\naction = "labelmap"\nregex = "__meta_(.+)"', __meta_zone="a")
    assert mapped is not None and dict(mapped.labels)["zone"] == "a"
    dropped = through('[[relabel]]\naction = "labeldrop"\nregex = "team"', team="blue")
    assert dropped is not None and "team" not in dict(dropped.labels)
    kept = through('[[relabel]]\naction = "labelkeep"\nregex = "__.*|job"', team="blue")
    assert kept is not None and dict(kept.labels) == {"instance": "10.0.0.1:8001", "job": "agentgauge"}


def test_the_place_can_be_changed() -> None:
    """__address__, __scheme__ and __metrics_path__ say where to scrape; credentials stay with an unchanged place."""
    moved = through('[[relabel]]\ntarget_label = "__metrics_path__"\nreplacement = "/m"')
    assert moved is not None and moved.url == "http://10.0.0.1:8001/m"
    named = through('[[relabel]]\ntarget_label = "x"\nreplacement = "y"', "http://user:secret@h:1/p?q=1")
    assert named is not None and named.url == "http://user:secret@h:1/p?q=1"
    assert "secret" not in str(named.labels)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("[[relabel]]\nactoin = 'keep'", "rule 1: no key 'actoin'; did you mean 'action'?"),
        ("[[relabel]]\naction = 'kep'", "rule 1: no action 'kep'; did you mean 'keep'?"),
        ("[[relabel]]\nregex = '('\ntarget_label = 'a'", "rule 1: regex '(': "),
        ("[[relabel]]\nregex = 'a'", "rule 1: replace needs a target_label"),
        ("[[relabel]]\nsource_labels = 'a'", "rule 1: source_labels is 'a', not a list"),
        ("relabel = 3", "rules stand in [[relabel]] tables"),
        ("[[relabel", "not TOML: "),
    ],
)
def test_what_is_no_rule_names_itself(tmp_path: Path, rules: str, message: str) -> None:
    """The file, the rule, the key, and the nearest right one."""
    path = tmp_path / "rules.toml"
    path.write_text(rules)
    with pytest.raises(ConfigError) as raised:
        rules_from_file(str(path))
    assert f"--relabel {path}: {message}" in str(raised.value)


def test_discovery_applies_them_to_all_but_the_servers_own() -> None:
    """Dropped targets are gone, the server's own stays, and a rule that leaves no address is a problem by name."""
    drop_all = rules_from_toml('[[relabel]]\naction = "drop"')
    static = [target_from_address("h:1"), target_from_address("h:2", {"job": "self"}, source="self")]
    assert [target.url for target in Discovery(static, rules=drop_all).look().targets] == ["http://h:2/metrics"]
    no_place = rules_from_toml('[[relabel]]\ntarget_label = "__address__"\nreplacement = ""')
    found = Discovery(static[:1], rules=no_place, honor_labels=True).look()
    assert not found.targets
    assert "after relabeling: target '' is not HOST:PORT" in found.problems["http://h:1/metrics"]
    assert Discovery(static[:1], honor_labels=True).look().targets[0].honor_labels
