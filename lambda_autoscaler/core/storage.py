"""The Kubernetes storage objects that decide where a pod's volumes let it run. Wire types, as in ``kubernetes.py``."""

from lambda_autoscaler.core.kubernetes import NodeSelector, ObjectMeta, ResourceRequirements, Wire


class VolumeNodeAffinity(Wire, frozen=True):
    """v1.VolumeNodeAffinity."""

    required: NodeSelector | None = None


class ObjectReference(Wire, frozen=True):
    """v1.ObjectReference, enough to find the claim of a volume."""

    namespace: str = ""
    name: str = ""


class CsiVolumeSource(Wire, frozen=True):
    """v1.CSIPersistentVolumeSource."""

    driver: str = ""
    volume_handle: str = ""


class PersistentVolumeSpec(Wire, frozen=True):
    """v1.PersistentVolumeSpec."""

    node_affinity: VolumeNodeAffinity | None = None
    claim_ref: ObjectReference | None = None
    storage_class_name: str = ""
    capacity: dict[str, str | int] | None = None
    access_modes: list[str] | None = None
    csi: CsiVolumeSource | None = None


class PhaseStatus(Wire, frozen=True):
    """A status of which only the phase matters."""

    phase: str = ""


class PersistentVolume(Wire, frozen=True):
    """v1.PersistentVolume."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PhaseStatus = PhaseStatus()


class PersistentVolumeClaimSpec(Wire, frozen=True):
    """v1.PersistentVolumeClaimSpec."""

    volume_name: str = ""
    storage_class_name: str | None = None
    access_modes: list[str] | None = None
    resources: ResourceRequirements | None = None


class PersistentVolumeClaim(Wire, frozen=True):
    """v1.PersistentVolumeClaim."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PhaseStatus = PhaseStatus()


class TopologyLabelRequirement(Wire, frozen=True):
    """v1.TopologySelectorLabelRequirement."""

    key: str
    values: list[str] = []


class TopologySelectorTerm(Wire, frozen=True):
    """v1.TopologySelectorTerm."""

    match_label_expressions: list[TopologyLabelRequirement] | None = None


class StorageClass(Wire, frozen=True):
    """storage/v1 StorageClass."""

    metadata: ObjectMeta = ObjectMeta()
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: list[TopologySelectorTerm] | None = None


class CsiNodeAllocatable(Wire, frozen=True):
    """storage/v1 VolumeNodeResources."""

    count: int | None = None


class CsiNodeDriver(Wire, frozen=True):
    """storage/v1 CSINodeDriver."""

    name: str = ""
    allocatable: CsiNodeAllocatable | None = None


class CsiNodeSpec(Wire, frozen=True):
    """storage/v1 CSINodeSpec."""

    drivers: list[CsiNodeDriver] = []


class CsiNode(Wire, frozen=True):
    """storage/v1 CSINode: how many volumes of a driver a node can attach."""

    metadata: ObjectMeta = ObjectMeta()
    spec: CsiNodeSpec = CsiNodeSpec()
