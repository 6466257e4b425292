"""The browser's pages over a real socket: what they say, and that there is no way out of the folder."""

from __future__ import annotations

import html
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Live, Serving
from run_folders import HOSTILE, estimate, showing, write_run

from byte_models import byte_engine
from candor.core.lock import hold
from candor.serve.runs.browser import Browser
from candor.serve.runs.folder import Folder

SECRET = "the secret outside"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two kinds, one of them hostile, and links that lead out."""
    outside = tmp_path_factory.mktemp("outside")
    write_run(outside / "other", model=SECRET)
    (outside / "secret.jsonl").write_text(json.dumps({"text": SECRET}) + "\n")
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "first", created="2026-01-01T00:00:00+00:00", accuracy=0.8)
    write_run(root / "deep" / "second", created="2026-01-03T00:00:00+00:00", accuracy=0.4, seed=1)
    write_run(root / "chats", kind="chat", created="2026-01-02T00:00:00+00:00", accuracy=None)
    hostile = write_run(root / "hostile & <b>", model=HOSTILE, task=HOSTILE, created=HOSTILE, seed=2)
    (hostile / "samples.jsonl").write_text(json.dumps({HOSTILE: HOSTILE, "half": "\ud800"}) + "\n")
    (root / "linked").symlink_to(outside / "other")
    (root / "first" / "secret.jsonl").symlink_to(outside / "secret.jsonl")
    (root / "first" / "evaluation").symlink_to(outside)
    (root / ".hidden").mkdir()
    return root


@pytest.fixture(scope="module")
def shown(root: Path) -> Iterator[Serving]:
    with showing(root) as serving:
        yield serving


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def test_runs_are_listed_the_newest_first_and_links_are_not(shown: Serving, root: Path) -> None:
    found = shown.http.get("/runs.json").json()["runs"]
    names = [run["name"] for run in found]
    assert names[1:] == ["deep/second", "chats", "first"]  # the hostile one has no date, so its file's counts
    assert found[3]["headline"].startswith("80% of completions")
    assert found[3]["state"]["name"] == "finished"
    assert (found[2]["kind"], found[2]["state"]["words"]) == (
        "chat",
        "not finished, train was the last stage",
    )
    assert found[3]["bytes"] > 500
    page = shown.http.get("/runs")
    assert page.status_code == 200
    assert SECRET not in page.text
    assert "4 of 4 runs" in page.text


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "SECOND deep"}, {"deep/second"}),
        ({"kind": "chat"}, {"chats"}),
        ({"q": "80% of", "kind": "rl"}, {"first", "hostile & <b>"}),
        ({"q": "nothing like it"}, set()),
    ],
)
def test_search_looks_for_every_word(shown: Serving, query: dict[str, str], names: set[str]) -> None:
    assert {run["name"] for run in shown.http.get("/runs.json", params=query).json()["runs"]} == names
    page = shown.http.get("/runs", params=query)
    assert f"{len(names)} of 4 runs" in page.text


def test_a_run_s_page_has_its_stages_curves_and_recipe(shown: Serving) -> None:
    page = shown.http.get("/runs/run", params={"run": "deep/second"})
    assert page.status_code == 200
    for part in ("1 min 15 s", "3.0 GiB", 'id="curve-0-wide-t">Loss', "Reward", 'kind = "rl"', "seed = 1"):
        assert part in html.unescape(page.text), part
    assert shown.http.get("/runs/run.json", params={"run": "deep/second"}).json()["recipe"]["seed"] == 1


def test_a_report_is_drawn_though_none_is_there_and_one_that_is_there_is_not_trusted(
    shown: Serving, root: Path
) -> None:
    folder = root / "deep" / "second"
    (folder / "report.html").write_text("<script>not ours</script>")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    page = shown.http.get("/runs/report", params={"run": "deep/second"})
    assert "40% of completions of held-out problems are right" in page.text
    assert "not ours" not in page.text
    assert "sandbox" in page.headers["content-security-policy"]
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}  # nothing was written
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["after"]["accuracy"] = estimate(0.45)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    again = shown.http.get("/runs/report", params={"run": "deep/second"})
    assert "45% of completions" in again.text


@pytest.mark.parametrize(
    "name",
    [
        "linked", "nothing", "..", "../outside", "first/..", "deep/../first", "/etc", "first/", "./first",
        "deep//second", "deep", "", "\0", "first\0", "%2e%2e", "..%2f..", "....//", "x" * 900, ".hidden", "é",
    ],
)  # fmt: skip
def test_no_other_name_opens_anything(shown: Serving, name: str) -> None:
    for path in ("run", "report", "live", "run.json", "events.json"):
        found = shown.http.get(f"/runs/{path}", params={"run": name})
        assert found.status_code == 404, (path, name)
        assert SECRET not in found.text


def test_paths_name_nothing(shown: Serving, root: Path) -> None:
    """A client would tidy them up, so they go over a socket as they are."""
    for path in (
        "/runs/first",
        "/runs/first/recipe.toml",
        "/runs/../../etc/passwd",
        "/runs/%2e%2e/%2e%2e/etc/passwd",
        "/runs/..%2f..%2fetc%2fpasswd",
        "/runs/report/..%2f..%2foutside/report.html",
        "//etc/passwd",
        f"/runs{root}/first/recipe.toml",
    ):
        connection = shown.raw(
            f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))
        connection.close()
        assert b" 404 " in answer.splitlines()[0], path
        assert b"kind = " not in answer


def test_files_behind_links_are_not_shown(shown: Serving, root: Path) -> None:
    page = shown.http.get("/runs/run", params={"run": "first"})
    assert "secret.jsonl" not in page.text
    for file in (
        "secret.jsonl",
        "evaluation/secret.jsonl",
        "../../secret.jsonl",
        "metrics.json",
        "events.jsonl",
    ):
        for path in ("samples", "samples.json"):
            found = shown.http.get(f"/runs/{path}", params={"run": "first", "file": file})
            assert found.status_code == 404, file
            assert SECRET not in found.text
    report = shown.http.get("/runs/report", params={"run": "first"})
    assert report.status_code == 422
    assert "evaluation is a link that leads out" in report.text


def test_what_a_model_or_user_wrote_is_text_everywhere(shown: Serving) -> None:
    name = "hostile & <b>"
    for path, query in {
        "/runs": {},
        "/runs/run": {"run": name},
        "/runs/live": {"run": name},
        "/runs/report": {"run": name},
        "/runs/samples": {"run": name, "file": "samples.jsonl"},
        "/runs/compare": {"run": [name, "deep/second"]},
    }.items():
        page = shown.http.get(path, params=query)
        assert page.status_code == 200, path
        assert "<script>window" not in page.text, path
        assert "<img" not in page.text, path
        assert "<b>" not in page.text, path
        if path != "/runs/live":
            assert "window.broken = 1" in text_of(page.text), path
    refused = shown.http.get("/runs", params={"q": HOSTILE})
    assert "<img" not in refused.text
    assert shown.http.get("/runs/samples.json", params={"run": name, "file": "samples.jsonl"}).json()["rows"]


def test_every_answer_has_a_policy_and_is_kept_nowhere(shown: Serving) -> None:
    for path in (
        "/runs",
        "/runs/run?run=first",
        "/runs/run?run=none",
        "/runs/compare?run=first&run=deep/second",
    ):
        headers = shown.http.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), path
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert shown.http.get("/runs.json").headers["content-type"] == "application/json"
    assert shown.http.get("/runs/style.css").headers["content-type"].startswith("text/css")
    assert shown.http.get("/runs/live.js").headers["content-type"].startswith("text/javascript")
    assert shown.http.get("/", follow_redirects=False).headers["location"] == "/runs"
    assert shown.http.post("/runs").status_code == 405


def test_two_runs_are_compared_with_care(shown: Serving) -> None:
    query = {"run": ["first", "deep/second"]}
    page = shown.http.get("/runs/compare", params=query)
    words = " ".join(text_of(page.text).split())
    assert "Only the seed differs: what differs below is what chance does" in words
    assert "1 of 2 measures that both have with an interval lie beyond both intervals" in words
    assert "about 0.0 would do so by chance" in words
    assert "beyond both intervals, lower" in words
    assert "not told apart: they overlap" in words
    found = shown.http.get("/runs/compare.json", params=query).json()
    assert found["settings"] == [{"key": "seed", "one": "0", "other": "1"}]
    assert [row["verdict"] for row in found["measures"]] == ["overlap", "apart"]


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["first"], "tick two runs"),
        (["first", "first"], "tick two runs"),
        (["first", "chats"], "only runs of one kind"),
        (["first", "chats", "deep/second"], "tick two runs"),
    ],
)
def test_what_can_not_be_compared_is_said(shown: Serving, names: list[str], part: str) -> None:
    page = shown.http.get("/runs/compare", params={"run": names})
    assert page.status_code == 400
    assert part in text_of(page.text)
    assert "<h1>" in page.text
    assert part in shown.http.get("/runs/compare.json", params={"run": names}).json()["error"]["message"]


def test_a_run_is_followed_while_it_grows(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "grows", accuracy=None, events=[{"event": "stage started", "stage": "learn"}]
    )
    with hold(folder), showing(tmp_path) as live:
        first = live.http.get("/runs/live", params={"run": "grows"})
        assert "under way: learn" in text_of(first.text)
        seen = re.findall(r'data-version="([^"]+)"', first.text)[0]
        assert live.http.get("/runs/live", params={"run": "grows", "seen": seen}).status_code == 204
        before = live.http.get("/runs/events.json", params={"run": "grows"}).json()
        assert (len(before["events"]), before["state"]["name"]) == (1, "working")
        with (folder / "events.jsonl").open("a") as file:
            for step in (1, 2, 3):
                file.write(json.dumps({"event": "step", "step": step, "loss": 1 / step}) + "\n")
        assert "step 3" in text_of(live.http.get("/runs/run", params={"run": "grows"}).text)
        later = live.http.get("/runs/live", params={"run": "grows", "seen": seen})
        assert "loss: 1 at step 1, 0.333 at step 3" in later.text
        after = live.http.get("/runs/events.json", params={"run": "grows", "after": before["next"]}).json()
        assert [event["step"] for event in after["events"]] == [1, 2, 3]
    with showing(tmp_path) as live:
        ended = text_of(live.http.get("/runs/live", params={"run": "grows"}).text)
    assert "killed in learn" in ended
    assert "given again, continues it" in ended


def test_a_life_is_finished_with_its_stages_and_its_report_s_links_lead_to_theirs(tmp_path: Path) -> None:
    life = write_run(tmp_path / "life", kind="life", accuracy=None)
    write_run(life / "train", accuracy=0.8)
    (life / "report.json").write_text(json.dumps({"headline": "All hold.", "stages": [{"name": "train"}]}))
    with showing(tmp_path) as live:
        found = live.http.get("/runs.json", params={"kind": "life"}).json()["runs"][0]
        assert (found["state"]["name"], found["headline"]) == ("finished", "All hold.")
        page = live.http.get("/runs/run", params={"run": "life"}).text
        address = re.findall(r'href="([^"]+report.html)"', page)[0]
        assert address == "/runs/report/life/report.html"
        assert live.http.get(address).status_code == 200
        below = live.http.get(address.replace("report.html", "train/report.html"))
        assert "80% of completions" in below.text
        for bad in ("/runs/report/life/%2e%2e/report.html", "/runs/report/none/report.html"):
            assert live.http.get(bad).status_code == 404
    (life / "report.json").write_text(json.dumps({"stages": [{"name": "train"}, {"name": "chat"}]}))
    with showing(tmp_path) as live:
        found = live.http.get("/runs.json", params={"kind": "life"}).json()["runs"][0]
        assert found["state"]["words"] == "not finished, train was the last stage"


def test_a_folder_that_is_itself_a_run_is_shown(tmp_path: Path) -> None:
    root = write_run(tmp_path / "alone")
    with showing(root) as live:
        assert [run["name"] for run in live.http.get("/runs.json").json()["runs"]] == ["."]
        assert "<h1>alone</h1>" in live.http.get("/runs/run", params={"run": "."}).text
        assert live.http.get("/runs/report", params={"run": "."}).status_code == 200
        assert live.http.get("/runs/report/report.html").status_code == 200


def test_strange_files_are_said_and_never_fail(tmp_path: Path) -> None:
    run = write_run(tmp_path / "strange")
    other = write_run(tmp_path / "other", numbers={"nan": float("nan"), "big": 10**400, "inf": 1e999})
    run.joinpath("recipe.toml").write_bytes(b"\xff\xfe = [" + b"[" * 5000)
    run.joinpath("metrics.json").write_text('{"a":' * 3000 + "1" + "}" * 3000)
    run.joinpath("manifest.json").write_text('{"stages": [1], "created": 5, "inputs": 3, "versions": []}')
    os.mkfifo(run / "pipe.jsonl")
    run.joinpath("events.jsonl").unlink()
    run.joinpath("report.json").write_text('{"stages": 3, "headline": [1]}')
    other.joinpath("report.json").write_text('{"stages": [{"name": [1]}, 2]}')
    with showing(tmp_path) as live:
        for path in (
            "",
            "/run?run=strange",
            "/live?run=strange",
            ".json",
            "/run.json?run=strange",
            "/run.json?run=other",
            "/events.json?run=strange",
            f"/events.json?run=other&after={1 << 62}",
            "/compare?run=other&run=strange",
        ):
            found = live.http.get(f"/runs{path}", timeout=20)
            assert found.status_code in (200, 400, 422), path
        assert "recipe.toml is not valid TOML" in live.http.get("/runs").text
        assert live.http.get("/runs/report?run=strange").status_code in (200, 422)
        assert live.http.get("/runs/samples?run=strange&file=pipe.jsonl").status_code == 404


def test_many_may_ask_at_once(shown: Serving) -> None:
    found: list[int] = []

    def ask(path: str) -> None:
        found.append(shown.http.get(path).status_code)

    paths = ["/runs", "/runs/run?run=deep/second", "/runs/report?run=deep/second", "/runs/live?run=first"] * 6
    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * len(paths)


def test_a_key_is_taken_as_a_password_here_and_nowhere_else(root: Path) -> None:
    with Live({"tiny": byte_engine()}, api_key="s3cret", browser=Browser(root)) as live:
        asked = live.http.get("/runs")
        assert asked.status_code == 401
        assert asked.headers["www-authenticate"].startswith("Basic ")
        for path in ("/runs", "/runs.json", "/runs/run?run=first"):
            assert live.http.get(path, auth=("anyone", "s3cret")).status_code == 200, path
            assert live.http.get(path, headers={"authorization": "Bearer s3cret"}).status_code == 200
            assert live.http.get(path, auth=("s3cret", "wrong")).status_code == 401
            assert live.http.get(path, headers={"authorization": "Basic s3cret"}).status_code == 401
        assert live.http.get("/v1/models", auth=("anyone", "s3cret")).status_code == 401
        assert live.http.get("/v1/models").headers["www-authenticate"] == "Bearer"
        for path in ("/runsx", "/runs/../v1/models", "/runs/%2e%2e/v1/models"):
            assert live.http.get(path, auth=("anyone", "s3cret")).status_code in (401, 404), path


def test_pages_of_other_sites_load_nothing_and_other_names_are_refused(shown: Serving) -> None:
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert shown.http.get("/runs/report?run=first", headers=foreign).status_code == 403
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert shown.http.get("/runs", headers=followed).status_code == 200
    assert shown.http.get("/runs", headers={"host": "evil.example"}).status_code == 403


def test_without_a_folder_a_model_s_server_shows_no_runs_and_leads_to_none(root: Path) -> None:
    with Live({"tiny": byte_engine()}) as live:
        assert live.http.get("/runs").status_code == 404
        assert '<a id="runs" href="runs" hidden>' in live.http.get("/").text
    with Live({"tiny": byte_engine()}, browser=Browser(root)) as live:
        assert '<a id="runs" href="runs">' in live.http.get("/").text
        assert live.http.get("/runs").status_code == 200


def test_a_life_s_failed_stages_are_shown_with_what_to_do(tmp_path: Path) -> None:
    run = write_run(tmp_path / "life", kind="life", accuracy=None)
    failed = {"chat": {"message": f"no room {HOSTILE}", "fix": "make some"}, "serve": {"message": "left out"}}
    manifest = json.loads((run / "manifest.json").read_text())
    with showing(tmp_path) as shown:
        before = shown.http.get("/runs/run", params={"run": "life"}).text
        assert "Stages that failed" not in before
        seen = re.search(r'data-version="([^"]+)"', before)
        (run / "manifest.json").write_text(json.dumps({**manifest, "failed": failed}))
        part = shown.http.get("/runs/live", params={"run": "life", "seen": seen[1] if seen else ""})
        assert part.status_code == 200
        page = shown.http.get("/runs/run", params={"run": "life"}).text
        for text in (page, part.text):
            said = text_of(text)
            for words in ("Stages that failed", "chat", "no room", "What to do: make some", "left out"):
                assert words in said, words
            assert "<script>window" not in text
        assert "failed in chat, serve" in shown.http.get("/runs").text
        (run / "manifest.json").write_text(json.dumps({**manifest, "failed": [1]}))
        assert "Stages that failed" not in shown.http.get("/runs/run", params={"run": "life"}).text


def test_rows_of_a_run_within_a_run_are_shown_as_its_own(tmp_path: Path) -> None:
    write_run(tmp_path / "life", kind="life")
    write_run(tmp_path / "life" / "chat")
    for folder in ("life/drawn", "life/chat/drawn"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rows.jsonl").write_text("{}\n")
    (tmp_path / "life" / "chat" / "of-chat.jsonl").write_text("{}\n")
    found = Folder.of(tmp_path)
    assert found.rows_files(found.run("life")) == ["drawn/rows.jsonl"]
    assert found.rows_files(found.run("life/chat")) == ["drawn/rows.jsonl", "of-chat.jsonl"]
