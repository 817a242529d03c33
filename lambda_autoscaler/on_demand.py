"""On-demand prices without asking AWS: a dated table that ships with the package.

The AWS Price List API answers only in a few regions and in megabytes, and list prices change about once a year: too dear for a scan. Prices
of other regions differ from the table's by a factor that is nearly the same for all types, so that the order of groups holds there too.
Where that is not enough, name the groups in the priority expander's ConfigMap.
"""

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

PRICES_FILE: Final = "on_demand_prices.csv"


@cache
def on_demand_prices() -> Mapping[str, float]:
    """USD per hour by instance type: Linux in us-east-1, at the date that the file names."""
    text = resources.files("lambda_autoscaler").joinpath(PRICES_FILE).read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["type"]: float(row["usd_per_hour"]) for row in rows}
