"""Which address of the browser shows what. Runs are named in the query, so that paths mean nothing.

/runs        the list             /runs/compare   two runs
/runs/run    one run, live        /runs/report    its report, also /runs/report/NAME/report.html
/runs/live   the part of that page that changes   /runs/samples   rows of one of its files
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

from fastapi import FastAPI, Query, Response

from candor.report import wording
from candor.report.evidence import number_of
from candor.serve.errors import RequestError
from candor.serve.runs import compare, pages, samples
from candor.serve.runs.browser import Browser, stages_of
from candor.serve.runs.folder import MAX_RUNS
from candor.serve.runs.reading import lines_from, parsed, read_object, read_settings
from candor.serve.runs.state import failed_of
from candor.serve.runs.summary import Summary

PREFIX = "/runs"
_RUNS = 50  # of a page
_LAST_ROWS = 20
_EVENT_BYTES = 1 << 20  # of an answer

Name = Annotated[str, Query(alias="run", max_length=1000)]
Names = Annotated[list[str], Query(alias="run", max_length=10)]
Words = Annotated[str, Query(max_length=200)]


def add(app: FastAPI, browser: Browser) -> None:
    """Answer with pages about the runs of a folder."""
    shown = Pages(browser)
    for path, handler in (
        ("", shown.list),
        ("/run", shown.run),
        ("/live", shown.live),
        ("/report", shown.report),
        ("/report/report.html", shown.own_report),
        ("/report/{name:path}/report.html", shown.report_below),
        ("/samples", shown.samples),
        ("/compare", shown.compare),
        (".json", shown.list_json),
        ("/run.json", shown.run_json),
        ("/events.json", shown.events_json),
        ("/samples.json", shown.samples_json),
        ("/compare.json", shown.compare_json),
        ("/style.css", pages.stylesheet),
        ("/live.js", pages.script),
    ):
        as_page = not path.endswith((".json", ".css", ".js"))
        app.add_api_route(
            f"{PREFIX}{path}",
            _told(handler, as_page=as_page),
            methods=["GET", "HEAD"],
            include_in_schema=False,
            response_model=None,
        )


def _told(handler: Callable[..., Response], *, as_page: bool) -> Callable[..., Response]:
    """A page says as a page what it can't show, and JSON as JSON."""

    @wraps(handler)
    def told(*args: Any, **query: Any) -> Response:
        try:
            try:
                return handler(*args, **query)
            except RecursionError as error:
                raise RequestError(422, "a file of this run is nested too deeply to be shown") from error
            except OSError as error:
                raise RequestError(422, f"a file of this run can't be read ({error.strerror})") from error
        except RequestError as error:
            if not as_page:
                raise
            message = error.body["error"]["message"]
            return pages.page("problem", error.status, message=message)

    return told


class Pages:
    """What the addresses answer."""

    def __init__(self, browser: Browser) -> None:
        self._browser, self._folder = browser, browser.folder

    # --- the list -----------------------------------------------------------------------------------

    def list(
        self, q: Words = "", kind: Words = "", page: Annotated[int, Query(ge=1, le=10_000)] = 1
    ) -> Response:
        """Runs, the newest first."""
        runs = self._browser.runs()
        found = _matching(runs, q, kind)
        last = max(1, -(-len(found) // _RUNS))
        page = min(page, last)
        return pages.page(
            "list",
            title=self._folder.root.name or "/",
            runs=found[(page - 1) * _RUNS : page * _RUNS],
            shown=len(found),
            total=len(runs),
            full=len(runs) >= MAX_RUNS,
            kinds=sorted({run.kind for run in runs}),
            q=q,
            kind=kind,
            page=page,
            pages=last,
        )

    def list_json(self, q: Words = "", kind: Words = "") -> Response:
        """The same for machines, all of it."""
        runs = _matching(self._browser.runs(), q, kind)
        return pages.answer({"runs": [run.as_json() for run in runs]})

    # --- one run ------------------------------------------------------------------------------------

    def run(self, name: Name) -> Response:
        """One run: what it is, how far it is, its curves and its recipe."""
        folder, context = self._folder.run(name), self._live(name)
        run: Summary = context["run"]
        _, recipe, _ = read_settings(self._folder, folder)
        others = [one for one in self._browser.runs() if one.kind == run.kind and one.name != name][:200]
        return pages.page(
            "run",
            **context,
            title=self._title(name),
            recipe=recipe,
            files=self._folder.rows_files(folder),
            others=others,
        )

    def live(self, name: Name, seen: Words = "") -> Response:
        """The part of a run's page that changes; 204 if it is as it was."""
        context = self._live(name)
        return Response(status_code=204) if seen == context["version"] else pages.page("live", **context)

    def run_json(self, name: Name) -> Response:
        """All of a run but its rows."""
        folder = self._folder.run(name)
        settings, _, _ = read_settings(self._folder, folder)
        manifest, metrics = (
            read_object(self._folder, folder, file)[0] for file in ("manifest.json", "metrics.json")
        )
        summary = self._browser.summary(name).as_json()
        return pages.answer({**summary, "recipe": settings, "manifest": manifest, "metrics": metrics})

    def events_json(self, name: Name, after: Annotated[int, Query(ge=0, le=1 << 62)] = 0) -> Response:
        """Whole events from an offset on, and the offset to ask for next."""
        path = self._folder.file(self._folder.run(name), "events.jsonl")
        read = list(lines_from(path, after, _EVENT_BYTES)) if path else []
        found, offset = [parsed(line) for _, line in read], read[-1][0] if read else after
        state = self._browser.summary(name).as_json()["state"]
        return pages.answer({"events": [row for row in found if row], "next": offset, "state": state})

    def report(self, name: Name) -> Response:
        """A run's report."""
        return pages.report(self._browser.report(name))

    def own_report(self) -> Response:
        """That of the folder itself."""
        return self.report(".")

    def report_below(self, name: str) -> Response:
        """The same by a path, so that a report's links to reports of runs below it lead to them."""
        return self.report(name)

    def _live(self, name: str) -> dict[str, Any]:
        run, seen = self._browser.summary(name), self._browser.seen(name)
        manifest, _ = read_object(self._folder, self._folder.run(name), "manifest.json")
        stages = [
            {
                **stage,
                "seconds": wording.duration(number_of(stage["seconds"])),
                "bytes": wording.size(number_of(stage["bytes"])),
            }
            for stage in stages_of(manifest)
        ]
        failed = failed_of(manifest)
        return {
            "run": run,
            "stages": stages,
            "failed": failed,
            "figures": seen.figures,
            "last": seen.last,
            "recent": seen.recent,
            "version": f"{seen.offset}-{len(failed)}-{run.state.name}-{run.state.stage}"[:100],
        }

    def _title(self, name: str) -> str:
        return self._folder.root.name if name == "." else name

    # --- rows ---------------------------------------------------------------------------------------

    def samples(self, name: Name, file: Words, start: int = 0) -> Response:
        """Some rows of a file of a run."""
        found = self._rows(name, file, start)
        return pages.page(
            "samples",
            title=self._title(name),
            name=name,
            file=file,
            found=found,
            rows=[samples.fields(row) for row in found.rows],
            last=_LAST_ROWS,
        )

    def samples_json(self, name: Name, file: Words, start: int = 0) -> Response:
        """The same for machines; nothing is cut."""
        found = self._rows(name, file, start)
        return pages.answer(
            {"start": found.start, "next": found.next, "bytes": found.bytes, "rows": found.rows}
        )

    def _rows(self, name: str, file: str, start: int) -> samples.Page:
        run = self._folder.run(name)
        path = self._folder.file(run, file)
        if path is None or file not in self._folder.rows_files(run):
            raise RequestError(
                404, f"this run has no file of rows {file[:80]!r}", param="file", code="no_file"
            )
        return samples.page(path, max(-1000, min(start, 1 << 62)))

    # --- two runs -----------------------------------------------------------------------------------

    def compare(self, names: Names) -> Response:
        """Two runs side by side."""
        one, other, found = self._compared(names)
        both = [row for row in found["measures"] if row.verdict in ("apart", "overlap")]
        apart = [row for row in both if row.verdict == "apart"]
        groups: dict[str, list[compare.Measure]] = {}
        for row in both:
            if row.verdict != "apart":
                groups.setdefault(row.group, []).append(row)
        settings = found["settings"]
        return pages.page(
            "compare",
            one=one,
            other=other,
            settings=settings,
            seed_only=bool(settings) and all(row.key == "seed" for row in settings),
            stages=found["stages"],
            apart=apart,
            overlapping=list(groups.items()),
            without=[row for row in found["measures"] if row.verdict in ("no interval", "one only")],
            compared=len(both),
            by_chance=sum(row.by_chance for row in both),
            origin=found["origin"],
            pairs=self._inside(one.name, other.name),
        )

    def compare_json(self, names: Names) -> Response:
        """The same for machines."""
        one, other, found = self._compared(names)
        return pages.answer(
            {
                "runs": [one.as_json(), other.as_json()],
                **{key: [row.__dict__ for row in found[key]] for key in ("settings", "stages", "origin")},
                "measures": [row.as_json() for row in found["measures"]],
            }
        )

    def _compared(self, names: list[str]) -> tuple[Summary, Summary, dict[str, Any]]:
        if len(names) != 2 or names[0] == names[1]:
            raise RequestError(400, "tick two runs of one kind in the list, then compare them", param="run")
        one, other = (self._browser.summary(name) for name in names)
        if one.kind != other.kind:
            raise RequestError(
                400,
                f"{one.name} is a run of the kind {one.kind} and {other.name} one of the kind {other.kind}: "
                "only runs of one kind measure the same things",
                param="run",
            )
        folders = [self._folder.run(name) for name in names]
        recipes = [read_settings(self._folder, folder)[0] for folder in folders]
        metrics = [read_object(self._folder, folder, "metrics.json")[0] for folder in folders]
        manifests = [read_object(self._folder, folder, "manifest.json")[0] for folder in folders]
        origins = [
            {key: found[key] for key in ("inputs", "versions", "machine") if isinstance(found.get(key), dict)}
            for found in manifests
        ]
        return (
            one,
            other,
            {
                "settings": compare.settings(*recipes),
                "stages": _costs(*(stages_of(manifest) for manifest in manifests)),
                "measures": compare.measures(*metrics),
                "origin": compare.settings(*origins),
            },
        )

    def _inside(self, one: str, other: str) -> list[tuple[str, str, str]]:
        """Runs below both by the same path: stages of a longer life, each a run of its own."""
        names = set(self._folder.names())
        return sorted(
            (name.removeprefix(f"{one}/"), name, f"{other}/{name.removeprefix(f'{one}/')}")
            for name in names
            if name.startswith(f"{one}/") and f"{other}/{name.removeprefix(f'{one}/')}" in names
        )


def _matching(runs: list[Summary], q: str, kind: str) -> list[Summary]:
    words = q.lower().split()
    return [run for run in runs if kind in ("", run.kind) and all(word in run.text for word in words)]


def _costs(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[compare.Setting]:
    found = [{stage["name"]: _cost(stage) for stage in stages} for stages in (one, other)]
    return [
        compare.Setting(name, *(costs.get(name, "not done") for costs in found))
        for name in dict.fromkeys([*found[0], *found[1]])
    ]


def _cost(stage: dict[str, Any]) -> str:
    seconds, memory = number_of(stage["seconds"]), number_of(stage["bytes"])
    return f"{wording.duration(seconds)}, {wording.size(memory)}"
