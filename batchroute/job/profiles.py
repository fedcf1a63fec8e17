"""Profiles: what a route lists for a small budget, for a balance and for quality, and what does not fit."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import Discriminator, Field, Tag

from batchroute.job.choices import ListedModels
from batchroute.job.documents import Node
from batchroute.job.problems import KeyPath, Problem
from batchroute.job.spec import Spec

ProfileName: TypeAlias = Literal["budget", "balanced", "quality"]
PROFILES: Final[tuple[ProfileName, ...]] = get_args(ProfileName)
USUAL: Final[ProfileName] = "balanced"
_CODE: Final = "job_profile"


class Profiles(Spec):
    """The models of a route by profile: a route that has one has them all, so that any can be chosen at any time."""

    budget: ListedModels = Field(description="Models where little is to be spent, such as [small].")
    balanced: ListedModels = Field(
        description="Models where nothing else is asked for, such as [mini, small]."
    )
    quality: ListedModels = Field(description="Models where the answer counts most, such as [large, mini].")

    def of(self, profile: ProfileName) -> tuple[Any, ...]:
        """The models that a profile lists, groups as they are written."""
        listed: tuple[Any, ...] = getattr(self, profile)
        return listed


def _form(value: Any) -> str:
    return "profiles" if isinstance(value, dict | Profiles) else "list"


RouteModels: TypeAlias = Annotated[
    Annotated[ListedModels, Tag("list")] | Annotated[Profiles, Tag("profiles")], Discriminator(_form)
]
"""The models of a route, for every profile the same or for each its own."""


def misfits(root: Node) -> Iterator[Problem]:
    """A profile that is chosen, or that records are to choose, where no route has any."""
    routes = root.child("routes")
    written = [route.child("models") for route in (routes.entries() if routes else {}).values()]
    if any(models is not None and models.entries() for models in written):
        return
    choosing: tuple[KeyPath, ...] = (("profile",), ("input", "profile"))
    for path in choosing:
        node = root.find(*path)
        if node is not None and node.value is not None:
            yield Problem(
                mark=node.key,
                path=path,
                reason="chooses nothing: no route has profiles",
                remedy="Write models: {budget: [...], balanced: [...], quality: [...]} on a route, or remove it",
                code=_CODE,
            )
