"""Failures whose cause is the `defs.yaml`, a setting or the config of a run."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_assets.config.secret_names import name_of_setting
from analytics_assets.ingestion.errors.base import Fault, SyncError, counted


@dataclass(eq=False)
class ConfigError(SyncError):
    """The `defs.yaml` or a setting is wrong."""

    fault = Fault.CONFIG


@dataclass(eq=False)
class MissingSecretError(ConfigError):
    """A secret that the run needs is not set.

    Attributes:
        source: the dlt source name.
        field: the secret field of the auth type, such as `api_key`.
    """

    source: str
    field: str
    code = "missing_secret"

    @property
    def cause(self) -> str:
        return f"the secret `{self.field}` of {self.source} is not set"

    @property
    def cure(self) -> str:
        setting = name_of_setting(self.source, self.field)
        cure = f"Export {setting}, or put {self.field} under [sources.{self.source}] in .dlt/secrets.toml"
        none = 'Or write `password: ""` under auth, if the API takes no password'
        return f"{cure}. {none}" if self.field == "password" else cure


@dataclass(eq=False)
class UnsendableSecretError(MissingSecretError):
    """A secret is no text, or has characters that no HTTP header can carry.

    Attributes:
        place: the key of the `defs.yaml` whose template is the secret; empty for a secret of dlt's settings.
        kind: what the secret is in place of a text, such as `a list`; empty for a text.
    """

    place: str = ""
    kind: str = ""
    code = "unsendable_secret"

    @property
    def cause(self) -> str:
        if self.kind:
            return f"the secret `{self.field}` of {self.source} is {self.kind}, and a secret is one text"
        return f"the secret `{self.field}` of {self.source} holds characters that no HTTP header can carry"

    @property
    def cure(self) -> str:
        if self.kind:
            return f'Write `{self.field} = "…"` under [sources.{self.source}] in .dlt/secrets.toml'
        if self.place:
            return f"Set the environment variable in {self.place} again"
        return f"Copy it to {name_of_setting(self.source, self.field)} again"


@dataclass(eq=False)
class UnsetVariableError(ConfigError):
    """A template of the `defs.yaml` needs an environment variable that is not set.

    Attributes:
        variable: the name of the variable.
        file: the path of the `defs.yaml`.
        field: the key of the file whose value needs the variable.
        is_secret: whether the value is that of a secret, which has no default in a file.
    """

    variable: str
    file: str
    field: str
    is_secret: bool = False
    code = "unset_variable"

    @property
    def cause(self) -> str:
        return (
            f"the environment variable {self.variable} is not set, and {self.field} in {self.file} needs it"
        )

    @property
    def cure(self) -> str:
        cure = "Set it where Dagster runs, and reload the definitions"
        if self.is_secret:
            return cure
        return f"{cure}. Or write a default in the file: `{{{{ env('{self.variable}', 'a default') }}}}`"


@dataclass(eq=False)
class FailingTemplateError(ConfigError):
    """A template in `auth` or `headers` of the `defs.yaml` fails when a run starts.

    Attributes:
        file: the path of the `defs.yaml`.
        field: the key of the file whose value is the template.
        problem: the sentence that says what is wrong, with its full stop.
    """

    file: str
    field: str
    problem: str
    code = "failing_template"

    @property
    def cause(self) -> str:
        return f"{self.field} in {self.file} cannot be read: {self.problem.removesuffix('.')}"

    @property
    def cure(self) -> str:
        return "Correct the template, or the environment variables that it reads"


@dataclass(eq=False)
class UnfitPathValueError(ConfigError):
    """A value of a parent's row cannot be a part of the path, because the request would go to another endpoint.

    Attributes:
        parent: the resource whose row has the value.
        path: the JSONPath of the value in the row.
        problem: the clause that says what the value is.
    """

    parent: str
    path: str
    problem: str
    code = "unfit_path_value"

    @property
    def cause(self) -> str:
        return (
            f"`{self.path}` of a row of `{self.parent}` {self.problem}, so the request would go to another endpoint. "
            "It was not sent, and nothing was loaded"
        )

    @property
    def cure(self) -> str:
        return (
            f"Use a field of `{self.parent}` in endpoint.path that has a value in every row. Or send the value in "
            f'endpoint.params, as in `params: {{id: "{{resources.{self.parent}.{self.path}}}"}}`'
        )


@dataclass(eq=False)
class MissingBaseUrlError(ConfigError):
    """The base URL of the API is empty when a run starts.

    Attributes:
        source: the dlt source name.
    """

    source: str
    code = "missing_base_url"

    @property
    def cause(self) -> str:
        return f"rest_api.client.base_url of {self.source} is empty"

    @property
    def cure(self) -> str:
        return "Write it in defs.yaml, or set the environment variable that defs.yaml names there"


@dataclass(eq=False)
class UnfitResourceError(ConfigError):
    """Two settings of a resource contradict each other.

    `UnfitResourceError` appears when Dagster loads the definitions.

    Attributes:
        problem: the sentence that names the settings and the contradiction.
        fix: the sentence that says what to write instead.
    """

    problem: str
    fix: str
    code = "unfit_resource"

    @property
    def cause(self) -> str:
        return self.problem

    @property
    def cure(self) -> str:
        return self.fix


@dataclass(eq=False)
class UnfitCursorError(UnfitResourceError):
    """The cursor of a partitioned resource does not fit the partitions."""

    code = "unfit_cursor"


@dataclass(eq=False)
class UnfitFilterError(UnfitResourceError):
    """The resource has no use for `assets.<resource>.filter`, or another setting contradicts it."""

    code = "unfit_filter"


@dataclass(eq=False)
class TooManyPagesError(ConfigError):
    """The API has more pages than `max_pages` of the run allows.

    Attributes:
        endpoint: the method and path of the first page beyond the limit, without the query.
        max_pages: the limit of the run.
    """

    endpoint: str
    max_pages: int
    code = "max_pages_exceeded"

    @property
    def cause(self) -> str:
        pages = counted(self.max_pages, "page")
        return f"{self.endpoint} has more than the {pages} that the option max_pages of this run allows"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Raise max_pages in the config or the tags of the run, or leave it out to fetch all "
            "pages"
        )
