"""What `dg scaffold defs analytics_assets.RestApiSync` writes: a file that loads, and says what to fill in.

What belongs here: the text of a new file. `component.py` loads it.
"""

import json
import re

import dagster as dg
from pydantic import BaseModel, Field

_YAML = """\
type: <type>

attributes:
  # The dataset in the warehouse, the first part of each asset key, and the section of the secrets.
  name: <name>

  # dlt's RESTAPIConfig: https://dlthub.com/docs/dlt-ecosystem/verified-sources/rest_api/basic
  rest_api:
    client:
      # Fill in: the address of the API, without the paths of its endpoints.
      base_url: <base_url>
      # The secret stays outside this file: set the environment variable SOURCES__<SECTION>__TOKEN.
      # For a key in a header:    {type: api_key, name: X-Api-Key, location: header}, and SOURCES__<SECTION>__API_KEY
      # For an API without a key: remove this line.
      auth: {type: bearer}
    resource_defaults:
      primary_key: id
    resources:
      # Fill in: one entry for each endpoint. Each becomes an asset and a table.
      - name: <resource>
        write_disposition: replace    # each sync reads all rows
        endpoint:
          path: <path>
          # data_selector: data       # where the rows are in a response
          # paginator: {type: offset, limit: 100}    # how the API pages; without it, dlt finds out
        columns:                      # declared columns are checked, and the others are added as they come
          id: {data_type: bigint, nullable: false}

  # What Dagster adds to each resource. Every key: dg utils inspect-component <type>
  # assets:
  #   <resource>:
  #     schedule: "0 2 * * *"         # off until it is turned on in the UI
"""

_PYTHON = """\
import dagster as dg

from <module> import <class>


@dg.component_instance
def load(context: dg.ComponentLoadContext) -> <class>:
    return <class>(
        # The dataset in the warehouse, the first part of each asset key, and the section of the secrets.
        name=<name>,
        # dlt's RESTAPIConfig: https://dlthub.com/docs/dlt-ecosystem/verified-sources/rest_api/basic
        rest_api={
            # Fill in: the address of the API. The secret is the environment variable SOURCES__<SECTION>__TOKEN.
            "client": {"base_url": <base_url>, "auth": {"type": "bearer"}},
            # Fill in: one entry for each endpoint. Each becomes an asset and a table.
            "resources": [
                {
                    "name": <resource>,
                    "primary_key": "id",
                    "write_disposition": "replace",
                    "endpoint": {"path": <path>},
                    "columns": {"id": {"data_type": "bigint", "nullable": False}},
                },
            ],
        },
        # What Dagster adds to each resource, such as assets={<resource>: {"schedule": "0 2 * * *"}}
    )
"""


class ScaffoldParams(BaseModel):
    """The options of `dg scaffold defs analytics_assets.RestApiSync`."""

    base_url: str = Field(
        "https://api.example.com", description="The address of the API, without the paths of its endpoints."
    )
    resource: str = Field("orders", description="The name and the path of the first endpoint.")


class RestApiSyncScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes the first file of an API: a `defs.yaml`, or a `component.py` with `--format python`."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Returns the class of the options."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Writes the file. The name of the source is that of the folder.

        Args:
            request: where to write, in which format, and the options.
        """
        folder = request.target_path.parent if request.append else request.target_path
        name = _plain(folder.name)
        module, _, class_name = request.type_name.rpartition(".")
        values = {
            "type": request.type_name,
            "module": module,
            "class": class_name,
            "name": json.dumps(name),
            "SECTION": name.upper(),
            "base_url": json.dumps(request.params.base_url),
            "resource": json.dumps(_plain(request.params.resource)),
            "path": json.dumps(request.params.resource),
        }
        text = _PYTHON if request.scaffold_format == "python" else _YAML
        for key, value in values.items():
            text = text.replace(f"<{key}>", value)
        if request.append:
            with request.target_path.open("a") as file:
                file.write(f"---\n{text}")
            return
        file_name = "component.py" if request.scaffold_format == "python" else "defs.yaml"
        (folder / file_name).write_text(text)


def _plain(name: str) -> str:
    """Returns a name of lower-case letters, digits and single underscores, as a dataset needs."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    plain = "_".join(words)
    return plain if plain[:1].isalpha() else f"api_{plain}".rstrip("_")
