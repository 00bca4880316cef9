"""What a cluster is made of, as data: names, addresses, services, configuration, images."""

import io
import ipaddress
import json
import tarfile
from pathlib import Path

import pytest
import yaml

from botfleet_tools.binaries import NODE_PROGRAMS
from botfleet_tools.cluster import cgroups, configs, files, images, layout, pauseimage
from botfleet_tools.cluster.names import ClusterError, Names
from botfleet_tools.cluster.network import CLUSTERS, Network, candidates, choose
from botfleet_tools.cluster.services import services
from botfleet_tools.cluster.state import State, every, load
from botfleet_tools.pids import Process

NETWORK = Network(0, "10.89.0.1", "10.89.0.2", "10.128.0.0/16", "10.160.0.0/16")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", ["a", "botfleet", "a-1", "x" * 32])
def test_names_fit_the_kernel_and_kubernetes(name: str) -> None:
    names = Names(name)
    assert len(names.interface) <= 15
    assert len(names.node) <= 63


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "../x", "x" * 33, "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="no name for a cluster"):
        Names(name)


def test_two_names_share_nothing() -> None:
    one, other = Names("one"), Names("other")
    assert one.interface != other.interface
    assert one.cgroup != other.cgroup
    assert one.lock != other.lock


def test_clusters_get_addresses_of_their_own() -> None:
    taken: list[Network] = []
    for _ in range(CLUSTERS):
        taken.append(choose([], taken))
    assert len({network.node_ip for network in taken}) == CLUSTERS
    for network in taken:
        ranges = [ipaddress.ip_network(text) for text in (network.pods, network.services, f"{network.node_ip}/32")]
        assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    with pytest.raises(ClusterError, match="no free addresses"):
        choose([], taken)


def test_addresses_that_the_host_uses_are_left_alone() -> None:
    assert choose(["10.89.0.0/30"], []).node_ip == "10.89.1.2"
    assert choose(["10.0.0.0/8", "127.0.0.1/8"], []).node_ip == "172.29.0.2"
    assert choose(["10.0.0.0/8", "172.16.0.0/12"], []).node_ip == "192.168.0.242"
    assert choose(["0.0.0.0/0"], []).node_ip == "10.89.0.2"
    with pytest.raises(ClusterError):
        choose(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], [])


def test_links_have_four_addresses_and_do_not_overlap() -> None:
    links = [link for link, _ in candidates()]
    assert all(link.num_addresses == 4 for link in links)
    assert len(set(links)) == len(links)


@pytest.mark.parametrize("audit", [False, True])
def test_services_run_only_what_is_there_and_name_no_secret(audit: bool) -> None:
    known = {f"{layout.BIN}/{program.value}" for program in NODE_PROGRAMS} | {"etcd", "containerd"}
    planned = services(Names("x"), NETWORK, audit=audit)
    assert {service.argv[0] for service in planned} <= known
    assert len({service.name for service in planned}) == len(planned)
    apiserver = next(service for service in planned if service.name == "kube-apiserver")
    assert any("audit-log-path" in flag for flag in apiserver.argv) is audit


def test_the_kubelet_keeps_to_the_clusters_control_group() -> None:
    kubelet = yaml.safe_load(configs.kubelet(NETWORK, "botfleet-x"))
    assert kubelet["cgroupRoot"] == "/botfleet-x"
    assert kubelet["failCgroupV1"] is False
    assert kubelet["clusterDNS"] == ["10.160.0.10"]
    assert kubelet["maxPods"] == 250


def test_pods_are_linked_without_a_bridge() -> None:
    plugins = json.loads(configs.cni(NETWORK))["plugins"]
    assert [plugin["type"] for plugin in plugins] == ["ptp", "portmap"]
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": NETWORK.pods}]]


def test_base_objects_are_dns_and_a_default_storage_class() -> None:
    objects = list(yaml.safe_load_all(configs.base_objects(NETWORK)))
    assert [item["kind"] for item in objects] == [
        "Service",
        "EndpointSlice",
        "ClusterRole",
        "ClusterRoleBinding",
        "StorageClass",
    ]
    assert objects[0]["spec"]["clusterIP"] == NETWORK.dns_ip
    assert objects[1]["endpoints"][0]["addresses"] == [NETWORK.node_ip]
    assert objects[-1]["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"


def test_names_outside_the_cluster_do_not_exist_and_names_inside_are_served_first() -> None:
    text = configs.corefile(NETWORK)
    assert text.index("cluster.local:53") < text.index(".:53 {")
    inside, outside = text.split(".:53 {")
    assert "kubernetes" in inside
    assert "template" not in inside
    assert "NXDOMAIN" in outside


def test_the_files_of_a_cluster_hide_its_keys_and_its_plan_names_every_program(tmp_path: Path) -> None:
    state = State("x", NETWORK)
    state.save()
    program = tmp_path / "program"
    program.touch()
    files.write(state, dict.fromkeys(NODE_PROGRAMS, program))
    for secret in (*(state.run_dir / "pki").glob("*.key"), *(state.run_dir / "pki").glob("*.kubeconfig")):
        assert secret.stat().st_mode & 0o777 == 0o600, secret
    assert files.kubeconfig(state.run_dir).stat().st_mode & 0o777 == 0o600
    assert state.run_dir.stat().st_mode & 0o777 == 0o700
    plan = json.loads(files.plan_file(state.run_dir).read_text())
    assert set(plan["programs"]) == {name.value for name in NODE_PROGRAMS}
    named = {flag.partition("=")[2] for service in plan["services"] for flag in service["argv"]}
    for path in sorted(named):
        if path.startswith((f"{layout.PKI}/", f"{layout.ROOT}/kubelet.yaml")):
            assert (state.run_dir / Path(path).relative_to(str(layout.ROOT))).exists(), path


def test_a_state_is_read_as_it_was_written() -> None:
    process = Process(1, 2, "boot")
    state = State("x", NETWORK, audit=True, launcher=process, init=process, complete=True, images={"a": ["b"]})
    state.save()
    assert load("x") == state
    assert list(every()) == [state]
    assert load("y") is None
    assert not state.alive()
    assert not State("x", NETWORK).alive()


def test_the_pause_image_is_one_file_and_always_the_same(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"program")
    content = pauseimage.archive(program, "localhost/x:1")
    assert content == pauseimage.archive(program, "localhost/x:1")
    path = tmp_path / "pause.tar"
    path.write_bytes(content)
    assert images.names_in(path) == ["localhost/x:1"]
    with tarfile.open(path) as tar:
        layer = tar.extractfile("layer.tar")
        assert layer is not None
        with tarfile.open(fileobj=layer) as inner:
            assert [(member.name, member.mode) for member in inner] == [("pause", 0o755)]


def write_tar(path: Path, name: str, document: object) -> None:
    with tarfile.open(path, "w") as tar:
        content = json.dumps(document).encode()
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def test_names_in_oci_archives_are_read(tmp_path: Path) -> None:
    path = tmp_path / "oci.tar"
    write_tar(path, "./index.json", {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "a:1"}}, {}]})
    assert images.names_in(path) == ["a:1"]


def test_what_is_no_image_archive_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_text("nothing")
    with pytest.raises(ClusterError, match=r"x\.tar is no image archive"):
        images.names_in(path)
    write_tar(path, "manifest.json", [{"Config": "x", "RepoTags": None, "Layers": []}])
    with pytest.raises(ClusterError, match="named image"):
        images.names_in(path)


def test_control_group_hierarchies_of_both_versions_are_found() -> None:
    mounts = (
        "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    )
    assert cgroups.parse(mounts) == [
        cgroups.Hierarchy(Path("/sys/fs/cgroup/memory"), 1),
        cgroups.Hierarchy(Path("/sys/fs/cgroup/unified"), 2),
    ]


def test_control_groups_of_version_2_hand_their_controllers_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "mounted", lambda: [cgroups.Hierarchy(tmp_path, 2)])
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma")
    (tmp_path / "botfleet-x").mkdir()
    (tmp_path / "botfleet-x" / "cgroup.controllers").write_text("cpu memory")
    cgroups.make("botfleet-x")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +io +memory +pids"
    assert (tmp_path / "botfleet-x" / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_control_groups_are_removed_from_the_inside_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mounted", lambda: [cgroups.Hierarchy(tmp_path, 1)])
    (tmp_path / "botfleet-x" / "kubepods" / "pod1").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    cgroups.remove("botfleet-x")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_control_group_that_stays_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mounted", lambda: [cgroups.Hierarchy(tmp_path, 1)])
    monkeypatch.setattr(cgroups, "REMOVE_SECONDS", 0.0)
    (tmp_path / "botfleet-x").mkdir()
    (tmp_path / "botfleet-x" / "busy").touch()
    with pytest.raises(ClusterError, match="botfleet-x"):
        cgroups.remove("botfleet-x")
