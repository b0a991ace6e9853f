"""What was found and read: whether it is a data set to generalise over, and what its user should know of it, in sentences."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.errors import InputError
from pipeline.samples.names import require_names
from pipeline.samples.table import Found, Sample, Samples, SetAside

# Places of a kind that are named one by one.
NAMED = 10


def require_data_set(found: Sequence[Found], domains: Sequence[str], classes: Sequence[str]) -> None:
    """Raises InputError for too few domains or classes, names that are none, and classes or domains of which there is nothing."""
    if len(domains) < 2:
        only = f"`{domains[0]}`" if domains else "none"
        raise InputError(f"domain generalisation needs at least two domains, found {only}; check the data set's `root`")
    if len(classes) < 2:
        raise InputError(f"at least two classes are needed, found {', '.join(classes) or 'none'}; check the `root`")
    require_names(domains, classes)
    present = {place.class_name for place in found}
    if unknown := sorted(present - set(classes)):
        raise InputError(
            f"class `{unknown[0]}` is not among the configuration's `classes` ({', '.join(classes)}); name it "
            "there, or take its images out"
        )
    if ghosts := [name for name in classes if name not in present]:
        raise InputError(
            f"class `{ghosts[0]}` of the configuration's `classes` has no image in any domain; take it out"
        )
    filled = {place.domain for place in found}
    if empty := [domain for domain in domains if domain not in filled]:
        raise InputError(f"domain `{empty[0]}` has no image; check the data set's `root` and `domains`")


def require_there(found: Sequence[Found], excluded: Collection[str]) -> None:
    """Raises InputError for an excluded key that is no file's: a list of another data set would leave out nothing."""
    if unknown := sorted(set(excluded) - {place.key for place in found}):
        raise InputError(
            f"`exclude` names {unknown[0]}, and the data set has no such image; write the list anew (`scmd cache duplicates "
            "--exclude`), or take the line out"
        )


def require_readable(
    samples: Sequence[Sample], quarantine: Sequence[SetAside], domains: Sequence[str], classes: Sequence[str]
) -> None:
    """Raises InputError for a domain or class of which no image can be read."""
    for what, part, names in (("domain", "domain", domains), ("class", "class_name", classes)):
        alive = {getattr(sample, part) for sample in samples}
        for name in names:
            if name not in alive:
                first = next(one for one in quarantine if getattr(one, part) == name)
                raise InputError(
                    f"none of the images of {what} `{name}` can be read (the first, {first.key}: {first.reason}); "
                    f"replace them or leave the {what} out"
                )


def gaps(samples: Sequence[Sample], domains: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    """Classes that some domains have no readable image of, and which domain must not be held out for it."""
    homes: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        homes[sample.class_name].add(sample.domain)
    for domain in domains:
        if lacking := [name for name in classes if domain not in homes[name]]:
            yield f"domain `{domain}` has no image of {', '.join(lacking)}"
    for name in classes:
        if len(homes[name]) == 1:
            only = next(iter(homes[name]))
            yield f"class `{name}` is in domain `{only}` alone: where `{only}` is held out, no other domain teaches it"


def copies(samples: Sequence[Sample]) -> Iterator[str]:
    """The same picture under two labels cannot be learnt; in two domains the held-out one is not unseen."""
    places: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        places[sample.id].append(sample)
    for what, part in (("labels", "label"), ("domains", "domain")):
        clashes = [group for group in places.values() if len({getattr(s, part) for s in group}) > 1]
        if clashes:
            example = " and ".join(sample.key for sample in clashes[0][:2])
            yield f"{len(clashes)} pictures stand under several {what}, first {example}"


def leaks(samples: Sequence[Sample], held_out: Sequence[str]) -> Iterator[str]:
    """Held-out domains of which a picture also stands in another domain, byte for byte."""
    for domain in held_out:
        elsewhere = {sample.id: sample.key for sample in samples if sample.domain != domain}
        own = [sample for sample in samples if sample.domain == domain]
        if seen := [sample for sample in own if sample.id in elsewhere]:
            yield (
                f"{len(seen)} of {len(own)} pictures of held-out domain `{domain}` also stand in another domain, first "
                f"{seen[0].key} and {elsewhere[seen[0].id]}: its accuracy is not of unseen pictures; `scmd cache duplicates "
                "--exclude FILE` writes a list of what to leave out"
            )


def oddities(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Of each peculiarity, how many pictures have it, and the first."""
    for what, keys in found.items():
        yield f"{len(keys)} pictures: {what}; first {keys[0]}"


def count_lines(samples: Samples, quarantine: Sequence[SetAside], skipped: Sequence[SetAside]) -> Iterator[str]:
    """Found, kept and set aside of each domain, a line each, with the images of each class."""
    bad, passed = (Counter(one.domain for one in places) for places in (quarantine, skipped))
    for domain in samples.domains:
        kept = [sample for sample in samples.rows if sample.domain == domain]
        by_class = Counter(sample.class_name for sample in kept)
        each = ", ".join(f"{name} {by_class[name]}" for name in samples.classes)
        yield (
            f"{domain}: {samples.found[domain]} found, {len(kept)} kept, {bad[domain]} set aside, "
            f"{passed[domain]} other files and folders passed by ({each})"
        )


def set_aside_lines(places: Sequence[SetAside]) -> Iterator[str]:
    """By kind of reason: how many, and the first ten by name."""
    kinds: dict[str, list[SetAside]] = defaultdict(list)
    for place in places:
        kinds[place.reason.partition(":")[0]].append(place)
    for kind, members in kinds.items():
        yield f"{len(members)} not taken, {kind}:"
        yield from (f"  {line_of(member)}" for member in members[:NAMED])
        if len(members) > NAMED:
            yield f"  … and {len(members) - NAMED} more, which `scmd samples --list` names"


def line_of(place: SetAside) -> str:
    """Where it is and why it was set aside."""
    key = place.key if place.key.isprintable() else repr(place.key)
    return f"{key}: {place.reason}"
