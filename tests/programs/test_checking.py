"""What the type check cannot know runs, and is judged by value before it is sent; what it does know is refused first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.programs.errors.shop import Shop
from tests.programs.standing import Standing, standing


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def stand(tmp_path: Path, shop: Shop) -> AsyncIterator[Standing]:
    async with standing(tmp_path, servers={"shop": shop.server()}) as found:
        yield found


@pytest.mark.parametrize(
    "code",
    [
        "to = 'LAMP'.lower()\nawait shop.set_kind(ref='a', to=to)",
        "async def put(to: str):\n    await shop.set_kind(ref='a', to=to)\nawait put('lamp')",
        "to = [i['name'] for i in (await shop.list_items())['items']][0].lower()\nawait shop.set_kind(ref='a', to=to)",
        "new = []\nfor n in ['a', 'b']:\n    new.append({'name': n, 'kind': 'cup'})\nawait shop.add_items(items=new)",
        "await shop.add_items(items=[{'name': n, 'kind': 'cup'} for n in ['a', 'b']])",
        "new = {}\nnew['name'] = 'a'\nnew['kind'] = 'cup'\nawait shop.add_items(items=[new])",
        "one = {'name': 'a', 'kind': 'cup'}\nawait shop.add_items(items=[one])",
    ],
)
async def test_an_argument_that_may_fit_is_not_refused(stand: Standing, shop: Shop, code: str) -> None:
    text = await stand.run(f"import shop\n{code}\n1")
    assert text.startswith("ok · ")
    assert shop.called[-1][0] in {"set_kind", "add_items"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("to = 'LMAP'.lower()\nawait shop.set_kind(ref='a', to=to)", 'got "lmap"; did you mean "lamp"?'),
        ("new = [{'name': n} for n in ['a']]\nawait shop.add_items(items=new)", '"kind"] is missing'),
        ("new = {}\nnew['name'] = 'a'\nnew['kind'] = 5\nawait shop.add_items(items=[new])", "got 5"),
    ],
)
async def test_one_that_does_not_fit_after_all_is_not_sent(stand: Standing, shop: Shop, code: str, said: str) -> None:
    text = await stand.run(f"import shop\n{code}")
    assert text.startswith("failed: raised · 1 call ")
    assert said in text
    assert shop.called == []


@pytest.mark.parametrize(
    "code",
    [
        "await shop.set_kind(ref='a', to='lmap')",
        "for to in ['lamp', 'lmap']:\n    await shop.set_kind(ref='a', to=to)",
        "await shop.set_kind(ref='a', to=None)",
        "await shop.set_kind(ref='a', to=['lamp'])",
        "await shop.set_kind(ref='a', to=len('lamp'))",
        "await shop.add_items(items=[{'name': 'a', 'kin': 'cup'}])",
        "await shop.add_items(items=['a'])",
        "await shop.add_items(items={'name': 'a', 'kind': 'cup'})",
        "to = 'LAMP'.lower()\nawait shop.set_kind(ref='a', to=to)\nawait shop.set_kind(ref=1, to=to)",
        "to = 'LAMP'.lower()\nawait shop.set_kind(ref='a', to=to)\nawait shop.set_kind(to=to)",
        "to = 'LAMP'.lower()\nshop.set_kind(ref='a', to=to)",
    ],
)
async def test_what_cannot_fit_is_refused_before_anything_runs(stand: Standing, shop: Shop, code: str) -> None:
    text = await stand.run(f"import shop\nawait shop.get_item(ref='a')\n{code}")
    assert text.startswith("failed: invalid · 0 calls ")
    assert shop.called == []


async def test_what_the_check_cannot_know_explains_no_failure(stand: Standing) -> None:
    text = await stand.run("import shop\nto = 'LAMP'.lower()\nitem = await shop.set_kind(ref='a', to=to)\nitem['nam']")
    assert 'Unknown key "nam"' in text
    assert "Expected `Literal" not in text
