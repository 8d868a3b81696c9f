"""Words that agents and tool authors use for one another. Small on purpose: each entry also lets wrong tools in."""

from __future__ import annotations

from portal.catalogue.words import stem

_GROUPS = """
get fetch read retrieve show view describe detail inspect display load
list enumerate find search query lookup browse discover filter
create add new make insert open generate
update edit modify change set patch rename adjust
delete remove drop destroy erase clear purge
send post publish submit share notify
write save store put upload append
download export pull
run execute invoke call launch trigger
stop cancel abort kill terminate end close
restart retry rerun redo
compare diff difference
convert transform translate
calculate compute count sum statistics aggregate
analyze analyse examine evaluate assess investigate
summarize summary overview digest
merge combine join
assign owner responsible maintainer accountable
approve accept review
issue ticket bug task story
error exception crash failure fault traceback
alert alarm incident page outage
repository repo codebase
merge_request pull_request mr pr
pipeline workflow ci build job
deploy deployment release rollout version
commit revision changeset
user person people member employee account contact
team group squad organization organisation
service component application app system
dependency depends upstream requires relation
metric measurement series graph timeseries monitoring
chart plot graph diagram visualization visualize
log logs trace event
file document doc
directory folder path
image picture photo screenshot
message chat dm conversation
mail email inbox
comment note annotation remark
web website webpage url page site internet online
price quote cost
stock share equity ticker
news headline article
weather forecast temperature
location place address coordinates geocode
route directions navigation distance travel
hotel accommodation lodging
flight airline
video clip movie film
music song track audio
calendar schedule meeting appointment
paper publication article research
database table sql
code source program script
test check verify validate
configuration config settings preferences
permission access role
identifier id key
label tag
sprint iteration milestone
project workspace
recent latest new current
state status health
"""


def related(term: str) -> tuple[str, ...]:
    """Return the stems that may stand for this one; empty for most."""
    return _RELATED.get(term, ())


def _table() -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for row in _GROUPS.strip().splitlines():
        stems = [" ".join(stem(part) for part in word.split("_")) for word in row.split()]
        for one in stems:
            found.setdefault(one, {}).update(dict.fromkeys(other for other in stems if other != one))
    return {one: tuple(others) for one, others in found.items()}


_RELATED = _table()
