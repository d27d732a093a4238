"""The errors of a run that was launched wrongly: without its partition, or with wrong options."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_assets.ingestion.errors.config import ConfigError


@dataclass(eq=False)
class NoPartitionError(ConfigError):
    """A run of a partitioned asset has no partition."""

    code = "no_partition"

    @property
    def cause(self) -> str:
        return "this run has no partition, and the asset is partitioned"

    @property
    def cure(self) -> str:
        return (
            "Nothing was requested. Launch it with a partition, or with a range from an earlier partition to a later "
            "one"
        )


@dataclass(eq=False)
class OptionInBackfillError(ConfigError):
    """A run of a backfill has an option with which the backfill would never end, or would claim other partitions.

    Attributes:
        option: the name of the option.
    """

    option: str
    code = "option_in_backfill"

    @property
    def cause(self) -> str:
        return f"this run belongs to a backfill, and has the option `{self.option}`. Nothing was requested"

    @property
    def cure(self) -> str:
        return f"Launch the backfill without `{self.option}`, or one run of these partitions with it"


@dataclass(eq=False)
class UnknownOpError(ConfigError):
    """The config of a run is for an op that does not exist, so that Dagster drops it.

    Attributes:
        op: the name in the config of the run.
        known: the name of the op of this asset.
    """

    op: str
    known: str
    code = "unknown_op"

    @property
    def cause(self) -> str:
        return f"the config of this run names the op `{self.op}`, which does not exist"

    @property
    def cure(self) -> str:
        return f"Nothing was requested. Correct the name: the op of this asset is `{self.known}`"


@dataclass(eq=False)
class UnfitRunConfigError(ConfigError):
    """A value in the config of a run is out of range.

    Attributes:
        problem: the key, and what is wrong with its value.
    """

    problem: str
    code = "unfit_run_config"

    @property
    def cause(self) -> str:
        return f"the config of this run: {self.problem}"

    @property
    def cure(self) -> str:
        return "Nothing was requested. Correct the value, and launch the run again"


@dataclass(eq=False)
class UnknownTagError(ConfigError):
    """A run tag under our prefix is no option of a sync.

    Attributes:
        tag: the run tag.
        known: the tag that was probably meant, or all tags.
    """

    tag: str
    known: tuple[str, ...]
    code = "unknown_tag"

    @property
    def cause(self) -> str:
        return f"the tag `{self.tag}` of this run is no option. Nothing was requested"

    @property
    def cure(self) -> str:
        return (
            f"Write {_listed(self.known)}" if len(self.known) == 1 else f"The tags are {_listed(self.known)}"
        )


@dataclass(eq=False)
class OptionDoesNotApplyError(ConfigError):
    """A run tag is an option that the resource does not have.

    Attributes:
        tag: the run tag.
        own: the options of the resource.
    """

    tag: str
    own: tuple[str, ...]
    code = "option_does_not_apply"

    @property
    def cause(self) -> str:
        return (
            f"the tag `{self.tag}` of this run is no option of this resource, which has {_listed(self.own)}. Nothing "
            "was requested"
        )

    @property
    def cure(self) -> str:
        return "Launch it in another run, without the tag"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{one}`" for one in names)


@dataclass(eq=False)
class ContradictingOptionsError(ConfigError):
    """A run tag and the config of the run set one option to two values.

    Attributes:
        tag: the run tag.
        tagged: the value of the tag.
        configured: the value in the config.
    """

    tag: str
    tagged: str
    configured: str
    code = "contradicting_options"

    @property
    def cause(self) -> str:
        return (
            f"the tag `{self.tag}` of this run says {self.tagged}, and its config says {self.configured}. Nothing was "
            "requested"
        )

    @property
    def cure(self) -> str:
        return "Remove one of them"
