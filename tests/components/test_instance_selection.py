"""The catalogue of instance types, and the choice of types to pin."""

import gzip
import json
from pathlib import Path
from typing import Any

import moto.ec2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eks_autoscaling import catalogue
from eks_autoscaling.catalogue import CatalogueError, InstanceType
from eks_autoscaling.instance_selection import Requirement, RequirementError, is_about, rank, select

SEED = ("m5.xlarge", "m4.xlarge", "m5a.xlarge", "m5d.xlarge", "m5n.xlarge", "m5ad.xlarge", "m5dn.xlarge")


def described() -> list[dict[str, Any]]:
    """EC2's own answer, as recorded."""
    recorded = Path(str(moto.ec2.__file__)).parent / "resources" / "instance_types.json.gz"
    return [{"InstanceType": name, **entry} for name, entry in json.loads(gzip.decompress(recorded.read_bytes())).items()]


def test_the_catalogue_is_what_ec2_says() -> None:
    file = Path(catalogue.__file__).with_name(catalogue.FILE)
    origin = catalogue.dated().partition(";")[0]
    assert catalogue.written(described(), origin) == file.read_text()


def test_the_catalogue_says_where_it_comes_from_and_when() -> None:
    assert catalogue.dated().startswith("ec2:DescribeInstanceTypes, us-east-1, 20")


def test_a_catalogue_of_ones_own_takes_the_place_of_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "types.csv"
    own.write_text(catalogue.written([item for item in described() if item["InstanceType"] == "m5.large"], "mine, 2026-11-25"))
    monkeypatch.setenv(catalogue.VARIABLE, str(own))
    catalogue.instance_types.cache_clear()
    try:
        assert list(catalogue.instance_types()) == ["m5.large"]
    finally:
        monkeypatch.undo()
        catalogue.instance_types.cache_clear()


def test_4_vcpu_and_16_gib_on_x86_match_27_types_of_which_20_fit_in_a_group() -> None:
    found = select(Requirement(4, 16))
    assert (len(found.types), found.left_out) == (20, 7)


def test_limited_to_m4_and_m5_they_are_the_tutorials_seven_and_m5zn() -> None:
    assert set(select(Requirement(4, 16, allow=("m4*", "m5*"))).types) == {*SEED, "m5zn.xlarge"}


def test_general_types_without_extras_come_first_and_new_ones_before_old_ones() -> None:
    types = select(Requirement(4, 16)).types
    assert types.index("m7i.xlarge") < types.index("m6i.xlarge") < types.index("m5.xlarge") < types.index("m7i-flex.xlarge")
    assert types.index("m5.xlarge") < types.index("m5d.xlarge")


@pytest.mark.parametrize(
    ("fields", "absent"),
    [
        ({}, "t3.xlarge"),
        ({}, "g6f.xlarge"),
        ({}, "inf2.xlarge"),
        ({"nitro": True}, "m4.xlarge"),
        ({"deny": ("m6*",)}, "m6i.xlarge"),
    ],
    ids=["burstable", "with a share of a GPU", "with an accelerator that is no GPU", "an older hypervisor", "denied"],
)
def test_types_that_the_requirement_rules_out_are_left_out(fields: dict[str, Any], absent: str) -> None:
    assert absent not in select(Requirement(4, 16, **fields)).types


def test_accelerators_and_burstable_types_come_when_they_are_asked_for() -> None:
    assert "t3.xlarge" in select(Requirement(4, 16, burstable=True, allow=("t3*",))).types
    assert select(Requirement(4, 16, accelerators=("gpu",), accelerator_count=0)).types == ("g6f.xlarge",)


def test_what_ec2_does_not_offer_in_every_zone_is_left_out() -> None:
    assert select(Requirement(4, 16), offered={"m5.xlarge", "m5a.large"}).types == ("m5.xlarge",)


def test_types_of_one_group_have_as_many_accelerators_of_the_same_size() -> None:
    with pytest.raises(RequirementError, match=r"8 gpu of 16 GiB \(g4dn.metal\); say which with --accelerator-count"):
        select(Requirement(96, 384, accelerators=("gpu",), bare_metal=True))
    four = Requirement(96, 384, accelerators=("gpu",), bare_metal=True, accelerator_count=4, accelerator_memory_gib=22.3516)
    assert select(four).types == ("g6.24xlarge", "g5.24xlarge")


@pytest.mark.parametrize("gib", [1.69922, 1.7, 1740 / 1024])
def test_a_size_may_be_given_as_a_list_rounds_it(gib: float) -> None:
    assert select(Requirement(1, gib)).types == ("m1.small",)


def test_every_size_finds_what_it_was_copied_from_and_no_other_size() -> None:
    sizes = {item.memory_mib for item in catalogue.instance_types().values()}
    near = {size: {other for other in sizes if is_about(other, float(f"{size / 1024:g}"))} for size in sizes}
    assert near == {size: {size} for size in sizes}


@pytest.mark.parametrize(
    ("requirement", "limit", "told"),
    [
        (Requirement(4, 17), 20, "no such instance type has 17 GiB; with 4 vCPU there are 7.5, 8, 10.5, 15, 16, "),
        (Requirement(5, 16), 20, "no such instance type has 5 vCPU; there are 1, 2, 4, "),
        (Requirement(4, 16, architecture="arm"), 20, "use x86_64 or arm64"),
        (Requirement(4, 16), 21, "takes 1 to 20 types"),
        (Requirement(4, 16, allow=("q*",)), 20, r"no instance type matches q\* \(--allow\)"),
        (Requirement(4, 16, allow=("m5*",), deny=("m5*",)), 20, r"m5.4xlarge and \d+ more: all denied by m5\* \(--deny\)"),
        (Requirement(4, 16, allow=("t3*",)), 20, "t3.xlarge, t3a.xlarge: burstable; --burstable takes them too"),
        (Requirement(96, 384, allow=("m5.metal",)), 20, "m5.metal: bare metal; --bare-metal takes them too"),
        (Requirement(4, 16, allow=("m4*",), nitro=True), 20, r"m4.xlarge: none runs on Nitro \(--nitro\)"),
        (Requirement(4, 16, allow=("m5*",), architecture="arm64"), 20, "none is arm64"),
        (Requirement(4, 16, allow=("g5.xlarge",)), 20, r"g5.xlarge: with accelerators, which --accelerator asks for \(gpu\)"),
        (Requirement(4, 16, accelerators=("gpu",), accelerator_count=3), 20, r"there are 1 gpu of 22.3516 GiB \(g6.xlarge, g5.xlarge\)"),
    ],
)
def test_a_requirement_that_cannot_be_met_is_told_what_took_the_last_types_away(requirement: Requirement, limit: int, told: str) -> None:
    with pytest.raises(RequirementError, match=told):
        select(requirement, limit=limit)


def test_types_that_ec2_does_not_offer_in_the_zones_are_named() -> None:
    with pytest.raises(RequirementError, match=r"m5.xlarge, m5a.xlarge.*: EC2 offers none of them in all of the zones"):
        select(Requirement(4, 16, allow=("m5*",)), offered={"m4.xlarge"})


@pytest.mark.parametrize("text", [None, "", "# mine\ntype,vcpus\nm5.large,2\n", "# mine\n\x00"])
def test_a_catalogue_of_ones_own_that_cannot_be_read_is_named(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "types.csv"
    if text is not None:
        own.write_text(text)
    monkeypatch.setenv(catalogue.VARIABLE, str(own))
    catalogue.instance_types.cache_clear()
    try:
        with pytest.raises(CatalogueError, match=r"EKS_AUTOSCALING_INSTANCE_TYPES: .*types\.csv"):
            catalogue.instance_types()
    finally:
        monkeypatch.undo()
        catalogue.instance_types.cache_clear()


@given(st.permutations(sorted(SEED)))
def test_the_order_of_the_catalogue_changes_nothing(names: list[str]) -> None:
    known = {name: catalogue.instance_types()[name] for name in names}
    assert select(Requirement(4, 16), known=known).types == select(Requirement(4, 16), known=dict(sorted(known.items()))).types


def test_a_name_of_an_unknown_form_comes_last() -> None:
    odd = InstanceType("u-6tb1.metal", 448, 1, "x86_64", "", 15, 50, False, False, "", 0, 0)
    assert rank(odd) > rank(catalogue.instance_types()["m4.xlarge"])
