"""Workflows, their deployments, and their runs."""

from worker_client.contract import tasks, workflows
from worker_client.contract.envelope import Page
from worker_client.contract.request import Paged
from worker_client.endpoints.call import API, Call, Repeat, named, post, read


def list_workflows(query: workflows.ListWorkflows) -> Call[Page[workflows.Workflow]]:
    """A page of workflows, by name."""
    return read(f"{API}/workflows", Page[workflows.Workflow], query)


def create_workflow(body: workflows.CreateWorkflow) -> Call[workflows.Workflow]:
    """Create a workflow; its triggers are inert until it is deployed."""
    return post(f"{API}/workflows", workflows.Workflow, body)


def check_workflow(body: workflows.CreateWorkflow) -> Call[None]:
    """Find out whether a workflow would be created; nothing is saved."""
    return post(f"{API}/workflows/check", None, body, Repeat.SAFE)


def get_workflow(workflow_id: str, query: workflows.WorkflowVersion | None = None) -> Call[workflows.Workflow]:
    """A workflow in its latest version, or in another."""
    return read(_workflow(workflow_id), workflows.Workflow, query)


def update_workflow(workflow_id: str, body: workflows.UpdateWorkflow) -> Call[workflows.Workflow]:
    """Make a new version of a workflow; what is left out stays."""
    return Call(method="PUT", path=_workflow(workflow_id), returns=workflows.Workflow, body=body)


def delete_workflow(workflow_id: str) -> Call[None]:
    """Delete a workflow that is not deployed and has no run under way; runs that have ended stay."""
    return Call(method="DELETE", path=_workflow(workflow_id), returns=None)


def execute_workflow(workflow_id: str, body: workflows.Execute) -> Call[workflows.Run]:
    """Begin a run of a workflow."""
    return post(_workflow(workflow_id, "/execute"), workflows.Run, body)


def stop_workflow(workflow_id: str, body: tasks.Reason) -> Call[tasks.Counted]:
    """Cancel all runs of a workflow, and their tasks."""
    return post(_workflow(workflow_id, "/stop"), tasks.Counted, body, Repeat.SAFE)


def list_runs(query: workflows.ListRuns) -> Call[Page[workflows.Run]]:
    """A page of runs, newest first."""
    return read(f"{API}/runs", Page[workflows.Run], query)


def get_run(run_id: int, query: tasks.WaitFor) -> Call[workflows.Run]:
    """A run with its steps; with `wait`, held until it has ended."""
    return read(_run(run_id), workflows.Run, query, hold=query.wait)


def cancel_run(run_id: int, body: tasks.Reason) -> Call[workflows.Run]:
    """Cancel a run and its tasks."""
    return post(_run(run_id, "/cancel"), workflows.Run, body, Repeat.SAFE)


def resume_run(run_id: int) -> Call[workflows.Run]:
    """Go on with a run that failed or was cancelled, from the steps that did not complete."""
    return post(_run(run_id, "/resume"), workflows.Run)


def list_deployments(query: Paged | None = None) -> Call[Page[workflows.Deployment]]:
    """A page of the workflows that are deployed."""
    return read(f"{API}/deployment/workflows", Page[workflows.Deployment], query)


def get_deployment(workflow_id: str) -> Call[workflows.Deployment]:
    """Whether a workflow is deployed, and in which version."""
    return read(_deployment(workflow_id, "status"), workflows.Deployment)


def deploy_workflow(workflow_id: str, body: workflows.Deploy) -> Call[workflows.Deployment]:
    """Switch the triggers of a version on; those of another go off."""
    path, returns = _deployment(workflow_id, "deploy"), workflows.Deployment
    return Call(method="PUT", path=path, returns=returns, body=body, repeat=Repeat.SAFE)


def undeploy_workflow(workflow_id: str) -> Call[workflows.Deployment]:
    """Switch the triggers of a workflow off."""
    path, returns = _deployment(workflow_id, "undeploy"), workflows.Deployment
    return Call(method="DELETE", path=path, returns=returns, repeat=Repeat.SAFE)


def _workflow(workflow_id: str, rest: str = "") -> str:
    return f"{API}/workflows/{named(workflow_id)}{rest}"


def _deployment(workflow_id: str, verb: str) -> str:
    return f"{API}/deployment/workflows/{named(workflow_id)}/{verb}"


def _run(run_id: int, rest: str = "") -> str:
    return f"{API}/runs/{run_id}{rest}"
