"""The values of deploy/helm: what they say, the Job of a run, and every object that Dagster's own chart makes of them.

Without the chart (`validators.helm`) the values and the Job are judged; with it everything, as a cluster would get it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._cli import create_dagster_cli
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._daemon.cli import create_dagster_daemon_cli
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job
from dagster_webserver.cli import create_dagster_webserver_cli
from kubernetes.client import ApiClient

from cm4ai_assets.defs.executor import in_process
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.settings import PACKAGE, PROJECT, Settings
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.operate.test_deploy import DEPLOY, SECRET, every_setting
from cm4ai_assets_tests.operate.test_image import DOCKERFILE, pinned
from cm4ai_assets_tests.validators import helm

VALUES = DEPLOY / "helm" / "values.yaml"
IN_KUBERNETES = {
    "DAGSTER_HOME": "the chart sets it",
    "CM4AI_UI_PORT": "the webserver is the chart's, which has no guard",
    "CM4AI_UI_HOSTS": "the same",
    "CM4AI_BROKER": "a run is a Job",
    "CM4AI_RUNS": "maxConcurrentRuns",
}
SECRETS = {"cm4ai", "dagster-postgresql-secret"}
OTHERWISE: dict[str, Any] = {
    "concurrency.runs.max_concurrent_runs": 8,  # a cluster has more than one machine
    "run_monitoring.start_timeout_seconds": 600,  # and needs longer to start a run
}
"""Where the instance of the chart says something else than dagster.yaml of this project."""

CLUSTER = {
    "apiVersion": "v1", "kind": "Config", "current-context": "none",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "users": [{"name": "none", "user": {}}],
}  # fmt: skip


@dg.op
def nothing() -> None:
    """A step."""


@dg.job(executor_def=in_process)
def small_job() -> None:
    """A run that bears the mark of every run of this project."""
    nothing()


def job_of_a_run(config: Mapping[str, Any], image: str, context: Mapping[str, Any] | None, folder: Path) -> Any:
    """The Job that the launcher of the instance makes of a run, with what the code location adds to its runs."""
    (folder / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER))
    outside = {"load_incluster_config": False, "kubeconfig_file": str(folder / "cluster.yaml")}
    launcher = K8sRunLauncher(**{**config, **outside})
    origin = JobPythonOrigin(
        "job", RepositoryPythonOrigin("python", ModuleCodePointer("m", "f"), image, ["dagster"], context)
    )
    run = dg.DagsterRun(job_name="job", job_code_origin=origin)
    made = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    job = construct_dagster_k8s_job(
        made.get_k8s_job_config(image, launcher), ["dagster", "api", "execute_run"], "dagster-run-1",
        user_defined_k8s_config=made.run_k8s_config,
    )  # fmt: skip
    return ApiClient().sanitize_for_serialization(job)


def require_whole(job: dict[str, Any], values: dict[str, Any]) -> None:
    """The Job is one for Kubernetes, and has what the launcher's values say: none of it is lost on the way."""
    kubernetes_validate.validate(job, helm.KUBERNETES, strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    said = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    (location,) = values["dagster-user-deployments"]["deployments"]
    assert container["image"] == f"{location['image']['repository']}:{location['image']['tag']}"
    assert [one for one in location["env"] if one not in container["env"]] == []
    assert len({one["name"] for one in container["env"]}) == len(container["env"]), "each is given once"
    assert {one["secretRef"]["name"] for one in container["envFrom"] if "secretRef" in one} == {"cm4ai"}
    assert container["resources"] == said["containerConfig"]["resources"]
    assert container["securityContext"] == said["containerConfig"]["securityContext"]
    assert pod["securityContext"] == said["podSpecConfig"]["securityContext"]
    (scratch,) = (one["value"] for one in container["env"] if one["name"] == "CM4AI_SCRATCH")
    (mount,) = (one for one in container["volumeMounts"] if one["mountPath"] == scratch)
    assert next(one for one in pod["volumes"] if one["name"] == mount["name"])["emptyDir"] == {"sizeLimit": "40Gi"}
    assert job["spec"]["ttlSecondsAfterFinished"] == said["jobSpecConfig"]["ttlSecondsAfterFinished"] == 86400


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    return found


def test_the_job_of_a_run_is_one_for_kubernetes_with_all_that_the_values_say(
    values: dict[str, Any], tmp_path: Path
) -> None:
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    (location,) = values["dagster-user-deployments"]["deployments"]
    of_runs = {re.sub("[A-Z]", lambda upper: f"_{upper[0].lower()}", key): value
               for key, value in launcher["runK8sConfig"].items()}  # fmt: skip
    config = {
        "image_pull_policy": launcher["imagePullPolicy"],
        "env_secrets": [one["name"] for one in launcher["envSecrets"]],
        "run_k8s_config": of_runs,
        "dagster_home": values["global"]["dagsterHome"],
        "service_account_name": "cm4ai-dagster",
        "instance_config_map": "instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
    }
    image = f"{location['image']['repository']}:{location['image']['tag']}"
    assert location["includeConfigInLaunchedRuns"] == {"enabled": False}
    job = job_of_a_run(config, image, None, tmp_path)
    require_whole(job, values)
    added = {
        "k8s": {"resources": location["resources"]}
    }  # what the chart adds where that is enabled, among other things
    (small,) = job_of_a_run(config, image, added, tmp_path)["spec"]["template"]["spec"]["containers"]
    assert small["resources"] == location["resources"], "a run would be killed at the memory of a small server"
    job["spec"]["template"]["spec"]["containers"][0]["image"] = 7
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, helm.KUBERNETES, strict=True)


def test_every_setting_of_a_run_has_its_place_in_the_values(values: dict[str, Any]) -> None:
    text = VALUES.read_text()
    uncommented = re.sub(r"^( +)# (- \{name: .*\})$", r"\1\2", text, flags=re.MULTILINE)
    (location,) = yaml.safe_load(uncommented)["dagster-user-deployments"]["deployments"]
    named = {one["name"]: one["value"] for one in location["env"]}
    secret = set(re.findall(r"--from-literal=(\w+)=", text)) - {"postgresql-password"}
    assert all(SECRET.search(name) or name in {"CM4AI_DATABASE", "CM4AI_ALERTS"} for name in secret)
    assert {name for name in {*named, *secret} if not name.startswith("AWS_")} == every_setting() - set(IN_KUBERNETES)
    (by_itself,) = values["dagster-user-deployments"]["deployments"]
    stated, usual = Settings.from_env(named), Settings.from_env({})
    own = {one["name"] for one in by_itself["env"]} | {"CM4AI_DATASHEETS", "CM4AI_H5AD"}
    assert {"CM4AI_STORAGE", "CM4AI_SCRATCH", "CM4AI_UI_URL"} <= own
    for one in fields(Settings):
        if f"CM4AI_{one.name.upper()}" not in own:
            assert getattr(stated, one.name) == getattr(usual, one.name), f"{one.name}: the line shows its default"


def test_no_secret_stands_in_the_values(values: dict[str, Any]) -> None:
    (location,) = values["dagster-user-deployments"]["deployments"]
    assert not [one["name"] for one in location["env"] if SECRET.search(one["name"])]
    assert values["generatePostgresqlPasswordSecret"] is False
    database = values["postgresql"]
    assert "postgresqlPassword" not in database
    said = re.findall(r"CM4AI_DATABASE=postgresql://(\w+):…@([\w.]+):(\d+)/(\w+)", VALUES.read_text())
    assert said == [
        (
            database["postgresqlUsername"],
            database["postgresqlHost"],
            str(database["service"]["port"]),
            database["postgresqlDatabase"],
        )
    ]
    assert Settings.from_env({one["name"]: one["value"] for one in location["env"]}).tensor_size == 1024


def test_the_chart_is_that_of_the_dagster_that_is_installed() -> None:
    version = dg.__version__
    assert pinned("constraints.txt")["dagster"] == pinned("deploy.txt")["dagster"] == {version}
    said = VALUES.read_text() + (PROJECT / "docs" / "several-machines.md").read_text()
    assert set(re.findall(r"(?:chart, version|--version) (\d+\.\d+\.\d+)", said)) == {version}


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    """What the chart makes of the values."""
    return helm.objects(VALUES)


def one_of(objects: list[dict[str, Any]], kind: str, *words: str) -> dict[str, Any]:
    (found,) = (
        one for one in objects if one["kind"] == kind and all(word in one["metadata"]["name"] for word in words)
    )
    return found


def containers(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The containers that stay, by the part of the platform that each is, with their pods."""
    for name in ("webserver", "daemon", "user-deployments"):
        pod = one_of(objects, "Deployment", name)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield name, container, pod


def instance_yaml(objects: list[dict[str, Any]]) -> str:
    return str(one_of(objects, "ConfigMap", "-instance")["data"]["dagster.yaml"])


def flat(stated: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in stated.items():
        if isinstance(value, dict):
            yield from flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


@pytest.mark.parametrize(
    "wrong", ["dagsterDaemon.replicas=2", "runLauncher.type=KubernetesRunLauncher", "concurrency.pool.granularity=op"]
)
def test_helm_finds_no_fault_in_the_values_and_would_see_one(wrong: str) -> None:
    assert helm.faults(VALUES) == ""
    assert wrong.split(".", maxsplit=1)[0] in helm.faults(VALUES, wrong)


def test_every_object_is_one_for_kubernetes(objects: list[dict[str, Any]]) -> None:
    for one in objects:
        kubernetes_validate.validate(one, helm.KUBERNETES, strict=True)
    named = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(named)) == len(named)
    assert sorted(kind for kind, _ in named if kind in {"Deployment", "Service", "StatefulSet", "Job", "Ingress"}) == (
        ["Deployment"] * 3 + ["Service"] * 2
    )


def test_one_daemon_and_never_two(objects: list[dict[str, Any]]) -> None:
    spec = one_of(objects, "Deployment", "daemon")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_instance_says_what_that_of_this_project_says(objects: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(instance_yaml(objects))
    said = dict(flat(InstanceRef.from_dir(str(tmp_path)).settings))  # refuses what contradicts itself
    own = dict(flat(yaml.safe_load((PROJECT / "dagster.yaml").read_text())))
    assert {key: said.get(key) for key in own} == {**own, **OTHERWISE}
    assert own.keys() >= OTHERWISE.keys()


def test_two_limits_of_runs_are_refused_as_the_first_form_of_the_values_had_them(tmp_path: Path) -> None:
    twice = helm.objects(
        VALUES, "concurrency.enabled=false", "additionalInstanceConfig.concurrency.runs.max_concurrent_runs=8"
    )
    (tmp_path / "dagster.yaml").write_text(instance_yaml(twice))
    with pytest.raises(dg.DagsterInvalidConfigError, match="max_concurrent_runs"):
        InstanceRef.from_dir(str(tmp_path))


@pytest.mark.slow
def test_the_chart_and_the_command_in_a_pod_share_one_instance(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chart's storage is Dagster's own, ours that of CM4AI_DATABASE: both have to be the same tables."""
    user, host, port, name = re.findall(r"//(\w+):.*@([\d.]+):(\d+)/(\w+)$", database)[0]
    named = {"postgresqlHost": host, "postgresqlUsername": user, "postgresqlDatabase": name, "service.port": port}
    theirs, ours = tmp_path / "chart", tmp_path / "pod"
    theirs.mkdir()
    text = instance_yaml(helm.objects(VALUES, *(f"postgresql.{key}={value}" for key, value in named.items())))
    assert "password" in text
    (theirs / "dagster.yaml").write_text(text)
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "word")
    monkeypatch.setenv("CM4AI_DATABASE", database)
    monkeypatch.setenv("DAGSTER_HOME", str(ours))
    store = Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    with open_instance(store) as here:
        here.add_dynamic_partitions(RELEASE, ["2025-06"])
    with dg.DagsterInstance.from_config(str(theirs)) as there:
        assert there.get_dynamic_partitions(RELEASE) == ["2025-06"]
        assert there.all_instigator_state() == []
        run = dg.execute_job(dg.reconstructable(small_job), instance=there)
        assert run.success
        limits = there.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == OTHERWISE["concurrency.runs.max_concurrent_runs"]
        assert limits.pool_config.default_pool_limit == 1
    with open_instance(store) as here:
        found = here.get_run_by_id(run.run_id)
        assert found is not None
        assert found.is_success


def test_the_code_location_is_found_under_the_name_that_it_has_everywhere(objects: list[dict[str, Any]]) -> None:
    (loaded,) = yaml.safe_load(one_of(objects, "ConfigMap", "workspace")["data"]["workspace.yaml"])["load_from"]
    server = loaded["grpc_server"]
    (own,) = (one["python_module"] for one in yaml.safe_load((PACKAGE / "workspace.yaml").read_text())["load_from"])
    assert server["location_name"] == own["location_name"]
    service = one_of(objects, "Service", server["host"])
    assert service["metadata"]["name"] == server["host"]
    assert [one["port"] for one in service["spec"]["ports"]] == [server["port"]]
    pod = one_of(objects, "Deployment", "user-deployments")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    option = dict(zip(container["args"][3::2], container["args"][4::2], strict=True))
    assert option == {
        "-h": "0.0.0.0", "-p": str(server["port"]), "--module-name": own["module_name"],
        "--location-name": own["location_name"],
    }  # fmt: skip


def test_the_commands_of_the_containers_are_understood_and_answer_where_they_are_asked(
    objects: list[dict[str, Any]], tmp_path: Path
) -> None:
    programs = {"dagster": create_dagster_cli(), "dagster-daemon": create_dagster_daemon_cli(),
                "dagster-webserver": create_dagster_webserver_cli()}  # fmt: skip
    mounted, workspace, asked = "/dagster-workspace/workspace.yaml", tmp_path / "workspace.yaml", set()
    workspace.write_text(one_of(objects, "ConfigMap", "workspace")["data"]["workspace.yaml"])
    for name, container, _ in containers(objects):
        line = container.get("args") or container["command"][-1].split()
        probes = [container[key] for key in ("readinessProbe", "livenessProbe", "startupProbe") if key in container]
        for program, *words in [line, *(probe["exec"]["command"] for probe in probes if "exec" in probe)]:
            command: click.Command = programs[program]
            while isinstance(command, click.Group):
                command = command.commands[words.pop(0)]
            here = [str(workspace) if word == mounted else word for word in words]
            context = command.make_context(program, here)  # raises on an unknown option
            asked.add((name, context.params.get("port")))
        if name != "user-deployments":
            assert mounted in line
            assert "/dagster-workspace/" in {one["mountPath"] for one in container["volumeMounts"]}
    assert asked == {("webserver", 3000), ("daemon", None), ("user-deployments", 3030)}
    webserver = next(one for name, one, _ in containers(objects) if name == "webserver")
    assert [one["containerPort"] for one in webserver["ports"]] == [3000]
    assert webserver["readinessProbe"]["httpGet"]["port"] == 3000
    assert one_of(objects, "Service", "webserver")["spec"]["ports"][0]["port"] == 3000


def test_no_container_has_rights_and_all_have_the_one_image_and_its_folder(
    objects: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    (uid,) = {int(one) for one in re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)}
    owned = re.findall(r"install -d -o cm4ai -g cm4ai (.*) ?\\?$", DOCKERFILE, re.MULTILINE)[0].split()
    for name, container, pod in containers(objects):
        (location,) = values["dagster-user-deployments"]["deployments"]
        assert container["image"] == f"{location['image']['repository']}:{location['image']['tag']}", name
        assert pod["securityContext"]["runAsUser"] == uid, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        for one in [container, *pod.get("initContainers", [])]:
            assert one["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
    homes = {one["data"]["DAGSTER_HOME"] for one in objects if "DAGSTER_HOME" in (one.get("data") or {})}
    assert len(homes) == 1
    assert homes <= set(owned)


def test_settings_and_secrets_reach_the_code_location_and_the_job_of_a_run(
    objects: list[dict[str, Any]], values: dict[str, Any], tmp_path: Path
) -> None:
    (location,) = values["dagster-user-deployments"]["deployments"]
    server = next(one for name, one, _ in containers(objects) if name == "user-deployments")
    assert [one for one in location["env"] if one not in server["env"]] == []
    assert {"secretRef": {"name": "cm4ai"}} in server["envFrom"]
    assert {"name": "scratch", "mountPath": "/scratch"} in server["volumeMounts"]
    added = next((one["value"] for one in server["env"] if one["name"].endswith("CONTAINER_CONTEXT")), "null")
    (image,) = (one["value"] for one in server["env"] if one["name"] == "DAGSTER_CURRENT_IMAGE")
    stated = yaml.safe_load(instance_yaml(objects))["run_launcher"]
    assert (stated["module"], stated["class"]) == ("dagster_k8s", "K8sRunLauncher")
    job = job_of_a_run(stated["config"], image, json.loads(added), tmp_path)
    require_whole(job, values)
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] in {one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"}


def named_secrets(part: object) -> Iterator[str]:
    """The secrets that a pod does not start without."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"secretRef", "secretKeyRef"} and not value.get("optional"):
                yield value["name"]
            yield from named_secrets(value)
    elif isinstance(part, list):
        for one in part:
            yield from named_secrets(one)


def test_no_secret_is_in_what_the_cluster_gets_and_those_that_it_needs_are_made_before(
    objects: list[dict[str, Any]],
) -> None:
    assert "Secret" not in {one["kind"] for one in objects}
    assert set(named_secrets(objects)) == SECRETS == set(re.findall(r"create secret generic (\S+)", VALUES.read_text()))
    for _, container, _ in containers(objects):
        for one in container["env"]:
            assert not SECRET.search(one["name"]) or "value" not in one, one["name"]
    stated = dict(flat(yaml.safe_load(instance_yaml(objects))))
    assert {
        value for key, value in stated.items() if key.endswith("password")
    } == set()  # password.env names a variable
    assert re.findall(r"://[^/\s\"]*:[^/\s\"@]+@", json.dumps(objects)) == []
