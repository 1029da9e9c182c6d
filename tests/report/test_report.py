"""The page of `ganlab compare`: one file, safe to open, offline; and what it does in a real browser, where there is one."""

import os
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from test_compare import edit, finished, seeds

from ganlab.report.compare import compare

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
EVIL = '"><img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script> & |_x_|'


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two settings, two scores; of the second score one setting has no value."""
    folder = tmp_path_factory.mktemp("page")
    seeds(folder / "sweep", "a", [3.0, 4.0, 5.0], scores={"kid": 0.5, "modes": 3.0})
    seeds(folder / "sweep", "b", [11.0, 12.0, 13.0], config={"k": 2}, scores={"kid": 0.25})
    seeds(folder / "sweep", "c", [1.0, 2.0, 3.0, 2.0, 2.0], config={"k": 10}, scores={"kid": 0.75})
    return compare([folder / "sweep"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Runs whose every text is markup."""
    folder = tmp_path_factory.mktemp("hostile")
    for k in (1, 2):
        config = {"k": k, "loss": {"_target_": f"x.{k}{EVIL}"}, "data": {"_target_": "a.b", "name": EVIL, "split": EVIL}}
        texts = {"overrides": [f"loss={k}{EVIL}"], "command": f"train.py {EVIL}", "scores": {EVIL: 3.0}}
        path = finished(folder, f"{k} <b>&", [2.0, 1.0], config=config, **texts)
        edit(path / "result.json", lambda result: result.update(commit=EVIL, device=EVIL, verdict={"state": EVIL}))
        table = path / "metrics.csv"
        quoted = EVIL.replace('"', '""')
        table.write_text(table.read_text().replace("train/V", f'"train/{quoted}"'))
    return compare([folder], folder / "out")


# the file itself


def test_the_page_needs_nothing_but_itself(page):
    text = page.read_text()
    elements = Elements(text).found
    for tag, attributes in elements:
        assert tag not in ("iframe", "object", "embed", "base", "form")
        for name in ("src", "srcset", "href", "data", "poster", "action", "background"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    (policy,) = [attributes["content"] for tag, attributes in elements if attributes.get("http-equiv")]
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "plotly.js v" in text
    assert len(text) < 7_000_000


def test_nothing_of_a_file_becomes_markup(hostile):
    text = hostile.read_text()
    elements = Elements(text).found
    assert [attributes.get("type") for tag, attributes in elements if tag == "script"] == ["application/json", None, None]
    assert all(attributes["src"].startswith("data:image/webp") for tag, attributes in elements if tag == "img")
    assert text.count("</script>") == 3
    assert "&lt;img src=x" in text  # but it is shown
    written = (hostile.parent / "report.md").read_text()
    assert "<img" not in written.replace(f"    python train.py {EVIL}", "")  # within a block of code it is text
    rows = [line for line in written.splitlines() if line.startswith("|") and "loss=1" in line]
    assert rows
    assert all(line.replace(r"\|", "").count("|") == rows[0].replace(r"\|", "").count("|") for line in rows[:2])


# in a browser


@pytest.fixture(scope="module")
def two_data_sets(tmp_path_factory):
    """k = 1 and 2 on a ring and on a grid, at 30 D steps."""
    folder = tmp_path_factory.mktemp("two_data_sets")
    for data in ("ring", "grid"):
        for k in (1, 2):
            config = {"k": k, "data": {"_target_": f"ganlab.data.toy.{data}", "means": [[0.43588989, 0.43588989]] * 9}}
            for path in seeds(folder / "sweep", f"{data}-{k}", [k + 1.0, k + 2.0], config=config, scores={"kid": 0.5 * k}):
                header, *rows = (path / "metrics.csv").read_text().splitlines()
                table = [f"{header},eval/kid", *(f"{row},{0.5 * k}" for row in rows), ""]
                (path / "metrics.csv").write_text("\n".join(table))
    return compare([folder / "sweep"], equal="d_steps=30")


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    if not CHROMIUM or not DRIVER:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser):
    """opened(page) loads it; what a page says on the console fails the test."""

    def load(path):
        browser.execute_script("document.documentElement.dataset.left = ''")
        browser.get(path.as_uri())  # on a busy machine it comes back while the page before is still shown
        there = "const page = document.documentElement.dataset; return !('left' in page) && 'drawn' in page"
        end = time.monotonic() + 60
        while not browser.execute_script(there):
            assert time.monotonic() < end, f"{path} was not drawn"
            time.sleep(0.02)
        return browser

    yield load
    messages = browser.get_log("browser")
    assert not messages


def choose(browser, name, value):
    browser.execute_script(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change'));",
        name,
        value,
    )


def lines(browser, chart="curves"):
    """The curves that plotly shows, by their names: x and y."""
    found = browser.execute_script(
        "return document.getElementById(arguments[0]).data.filter(t => t.name).map(t => [t.name, [...t.x], [...t.y]])", chart
    )
    return {name: (x, y) for name, x, y in found}


def title(browser, which):
    return browser.execute_script(f"return document.querySelector('{which}').textContent")


def column(browser, table, number):
    """The texts of a column, in the rows that are shown."""
    rows = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter(r => !r.hidden)", f"{table} tbody tr"
    )
    return [browser.execute_script("return arguments[0].cells[arguments[1]].textContent", row, number) for row in rows]


def test_the_charts_are_drawn(page, opened):
    browser = opened(page)
    shown = lines(browser)
    assert {name: y for name, (_, y) in shown.items()} == {
        "k=1": [9, 5, 4], "k=2": [9, 13, 12], "k=10": [9, 3, 2]}  # fmt: skip
    drawn = "return [...document.querySelectorAll(arguments[0])].map(p => p.getAttribute('d'))"
    paths = browser.execute_script(drawn, "#curves .scatterlayer path.js-line")
    assert (
        len([path for path in paths if path and "L" in path]) == 3 + 6 + 1
    )  # means, seeds of those with 2 or 3, a band's edge
    assert len([path for path in browser.execute_script(drawn, "#curves path.js-fill") if path and "L" in path]) == 1
    assert browser.execute_script("return document.querySelectorAll('#dots .points path').length") == 11 + 3
    assert browser.execute_script("return document.querySelectorAll('#dots .xerror').length") == 1
    assert title(browser, "#better") == "Lower is better."


def test_the_reader_chooses_the_axis(page, opened):
    browser = opened(page)
    last = {}
    for axis in ("iterations", "d_steps", "images", "seconds"):
        choose(browser, "axis", axis)
        last[axis] = {name: x[-1] for name, (x, _) in lines(browser).items()}
        assert title(browser, "#curves .xtitle") == title(browser, f"#axis option[value={axis}]")
    assert last == {
        "iterations": {"k=1": 30, "k=2": 30, "k=10": 30},
        "d_steps": {"k=1": 30, "k=2": 60, "k=10": 300},
        "images": {"k=1": 480, "k=2": 960, "k=10": 4800},
        "seconds": {"k=1": 7.5, "k=2": 7.5, "k=10": 7.5},
    }
    choose(browser, "axis", "iterations")


def test_the_reader_chooses_the_score_the_curve_and_the_settings(page, opened):
    browser = opened(page)
    choose(browser, "score", "kid")
    assert {name: x for name, (x, _) in lines(browser, "dots").items()} == {"k=1": [0.5], "k=2": [0.25], "k=10": [0.75]}
    choose(browser, "score", "modes")
    assert {*lines(browser, "dots")} == {"k=1"}
    choose(browser, "column", "train/V")
    assert title(browser, "#curves .gtitle") == "train/V [nats]"
    browser.execute_script("document.querySelectorAll('#chips input')[1].click()")
    assert {*lines(browser)} == {"k=1", "k=10"}
    browser.find_element("id", "none").click()
    assert lines(browser) == {}
    browser.find_element("id", "all").click()
    assert {*lines(browser)} == {"k=1", "k=2", "k=10"}
    browser.execute_script("document.getElementById('log').click()")
    assert browser.execute_script("return document.getElementById('curves').layout.yaxis.type") == "log"
    choose(browser, "filter", "kid")
    assert {*column(browser, "#scores-table", 1)} == {"KID"}


def test_each_data_set_has_charts_and_tables_of_its_own(two_data_sets, opened):
    browser = opened(two_data_sets)
    assert browser.execute_script("return document.querySelectorAll('.chart .main-svg').length") > 4
    assert title(browser, "#axis-2 option:checked") == "steps of D"  # the budget's
    (line,) = browser.execute_script("return document.getElementById('curves-2').layout.shapes")
    assert (line["x0"], line["x1"]) == (30, 30)
    assert title(browser, "#dots-2 .gtitle") == "FID at 30 D steps"
    choose(browser, "axis-2", "iterations")
    assert browser.execute_script("return document.getElementById('curves-2').layout.shapes") == []
    choose(browser, "filter-2", "kid")
    choose(browser, "filter", "fid")
    assert {*column(browser, "#scores-table-2", 1), *column(browser, "#tests-table-2", 0)} == {"KID"}
    assert {*column(browser, "#scores-table", 1), *column(browser, "#tests-table", 0)} == {"FID"}
    browser.execute_script("document.querySelectorAll('#chips-2 input')[0].click()")
    assert ({*lines(browser, "curves-2")}, {*lines(browser)}) == ({"k=2"}, {"k=1", "k=2"})
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len({*ids})
    for link in browser.execute_script("return [...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))"):
        assert link[1:] in ids


def test_a_table_is_sorted_by_a_click(page, opened):
    browser = opened(page)
    choose(browser, "filter", "fid")
    heads = browser.find_elements("css selector", "#scores-table thead [role=button]")
    assert column(browser, "#scores-table", 0) == ["k=1", "k=2", "k=10"]
    heads[2].click()  # the last value
    assert column(browser, "#scores-table", 0) == ["k=10", "k=1", "k=2"]
    assert heads[2].find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    heads[2].click()
    assert column(browser, "#scores-table", 0) == ["k=2", "k=1", "k=10"]
    heads[0].send_keys("\n")  # by the keyboard; names by the value of their numbers
    assert column(browser, "#scores-table", 0) == ["k=1", "k=2", "k=10"]
    assert heads[2].find_element("xpath", "..").get_attribute("aria-sort") is None


def test_a_click_anywhere_in_a_heading_sorts(page, opened):
    browser = opened(page)
    choose(browser, "filter", "fid")
    head = browser.execute_script("return document.querySelectorAll('#scores-table thead th')[2]")
    browser.execute_script("arguments[0].scrollIntoView()", head)
    box = browser.execute_script("const r = arguments[0].getBoundingClientRect(); return [r.left, r.top]", head)
    point = {"x": box[0] + 3, "y": box[1] + 3, "button": "left", "clickCount": 1}  # a corner, far from the words
    for kind in ("mousePressed", "mouseReleased"):
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **point})
    assert column(browser, "#scores-table", 0) == ["k=10", "k=1", "k=2"]


def test_the_sentences_are_folded_and_the_first_screen_is_not(page, opened):
    browser = opened(page)
    sizes = (
        "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect()).map(r => [r.height, r.bottom])"
    )
    assert all(height > 0 and bottom < 900 for height, bottom in browser.execute_script(sizes, "#overview li, #overview tr"))
    folded = "return [...document.querySelectorAll('#summary details')].map(d => d.open)"
    assert not any(browser.execute_script(folded))
    browser.find_element("css selector", "#summary summary").click()
    assert any(browser.execute_script(folded))
    rows = browser.execute_script("return [...document.querySelectorAll('.forest tbody th')].map(e => e.textContent.trim())")
    assert rows[:3] == ["k=10", "k=1", "k=2"]  # best first


def test_a_profile_is_the_share_of_runs_that_are_good_enough(tmp_path, opened):
    for k in (1, 2, 3, 4):
        seeds(tmp_path / "s", f"k{k}", [2.0 * k, 1.0 * k], config={"k": k})
    edit(next((tmp_path / "s").glob("k2-1")) / "result.json", lambda result: result.update(status="failed"))
    browser = opened(compare([tmp_path / "s"]))
    profiles = lines(browser, "profile")
    assert profiles["k=1"] == ([1, 1, 2, 8], [0, 0.5, 1, 1])
    assert profiles["k=2"] == ([1, 4, 8], [0, 0.5, 0.5])  # a run that failed is as good as none


COLOURS = """
const layout = document.getElementById('curves').layout;
return [getComputedStyle(document.body).backgroundColor, layout.paper_bgcolor, layout.font.color];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_are_dark_where_the_page_is(page, opened, scheme):
    browser = opened(page)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    expected = {"light": ["rgb(255, 255, 255)", "#fff", "#1a1a1a"], "dark": ["rgb(21, 24, 28)", "#15181c", "#e8e8e8"]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        end = time.monotonic() + 10  # the page is told of it a moment later, and plotly draws when it has time
        while (found := browser.execute_script(COLOURS)) != expected[scheme] and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found == expected[scheme]


def test_nothing_leaves_the_page(page, opened):
    browser = opened(page)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    buttons = browser.execute_script("return [...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    assert {*buttons} == {"Download plot", "Zoom", "Pan", "Reset axes"}  # plotly's own button for sharing uploads the data


def test_hostile_texts_do_nothing(hostile, opened):
    browser = opened(hostile)
    for name in browser.execute_script("return [...document.getElementById('column').options].map(o => o.value)"):
        choose(browser, "column", name)
    for name in browser.execute_script("return [...document.getElementById('score').options].map(o => o.value)"):
        choose(browser, "score", name)
    assert browser.execute_script("return window.hacked") is None
    assert browser.execute_script("return document.querySelectorAll('img:not([src^=\"data:image/webp\"])').length") == 0
    for place in ("#scores-table tbody th", "#dots .ytick text"):  # all of it is shown
        assert '"><img src=x onerror=' in title(browser, place)


def test_a_phone_needs_no_sideways_scrolling_of_the_page(page, opened):
    browser = opened(page)
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        opened(page)
        assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        assert browser.execute_script("return document.querySelector('#curves .main-svg').getBoundingClientRect().width") <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_what_is_said_of_several_data_sets_is_seen_without_scrolling(two_data_sets, opened, browser, width, height):
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        opened(two_data_sets)
        said = browser.find_elements("css selector", ".sentences li, .outcome")
        sentences = [(each.text, each.rect["y"] + each.rect["height"]) for each in said]
        assert [text.split(".")[0] for text, _ in sentences[::2]] == [
            "grid",
            "ring",
            "Of 8 runs, none failed, collapsed or diverged",
        ]
        assert all(0 < bottom <= height * 2 / 3 for _, bottom in sentences)  # two of the three that there is room for
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_print_shows_all_rows_and_no_controls(page, opened):
    browser = opened(page)
    choose(browser, "filter", "kid")
    displays = "return [...document.querySelectorAll('#scores-table tbody tr')].map(r => getComputedStyle(r).display)"
    assert "none" in browser.execute_script(displays)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert {*browser.execute_script(displays)} == {"table-row"}
        assert browser.execute_script("return getComputedStyle(document.querySelector('.controls')).display") == "none"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


# 200 runs


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """40 settings of five seeds with 200 readings each, of a score that differs from setting to setting."""
    folder, rng = tmp_path_factory.mktemp("many"), np.random.default_rng(0)
    pixels = rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)  # nothing is harder to compress
    Image.fromarray(pixels).save(folder / "noise.png")
    for run in range(200):
        setting, seed = divmod(run, 5)
        curve = (np.exp(-np.arange(200) / 50) + 0.1 * setting + 0.05 * rng.random(200)).round(5).tolist()
        path = finished(folder, str(run), curve, config={"k": setting + 1, "seed": seed}, picture=False)
        shutil.copy(folder / "noise.png", path / "samples" / "step-000002000.png")
    return folder


@pytest.fixture(scope="module")
def large(many):
    """report.html of the 200 runs, with CPU seconds and peak memory of a process that makes nothing else."""
    script = """
import sys, time
from pathlib import Path
from ganlab.report.compare import compare

started, folder = time.process_time(), Path(sys.argv[1])
compare([folder], folder / "out")
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(time.process_time() - started, int(peak.split()[1]) * 1024)  # ru_maxrss would be that of the process it was forked from
"""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, str(many)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | one_thread)
    seconds, memory = map(float, done.stdout.splitlines()[-1].split())
    return many / "out" / "report.html", seconds, memory


@pytest.mark.slow
def test_200_runs_take_seconds_and_stay_small(large):
    page, seconds, memory = large
    assert seconds < 20
    assert memory < 1e9
    assert page.stat().st_size < 15e6


@pytest.mark.slow
def test_a_report_of_200_runs_opens_within_three_seconds(large, opened):
    for _ in range(3):  # a busy machine may be slow once
        browser = opened(large[0])
        milliseconds = int(browser.execute_script("return document.documentElement.dataset.drawn"))
        if milliseconds < 3000:
            break
    assert milliseconds < 3000
    assert len(lines(browser)) == 8  # of 40: the reference and the best
    assert "k=1" in lines(browser)
    assert browser.execute_script("return document.querySelectorAll('#chips input').length") == 40
