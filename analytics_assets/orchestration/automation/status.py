"""What is on: a schedule, a sensor, or the sensor that evaluates the automation condition of an asset."""

import dagster as dg


def is_running(
    instance: dg.DagsterInstance, name: str, default: dg.DefaultScheduleStatus | dg.DefaultSensorStatus
) -> bool:
    """Whether a schedule or a sensor is on.

    Args:
        instance: the Dagster instance.
        name: the name of the schedule or the sensor.
        default: its status in its definition.
    """
    set_by_hand = [
        state.status.value
        for state in instance.all_instigator_state()
        if state.instigator_name == name and state.status.value in ("RUNNING", "STOPPED")
    ]
    return "RUNNING" in set_by_hand or (not set_by_hand and default.value == "RUNNING")


def is_evaluated(
    context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext, key: dg.AssetKey
) -> bool:
    """Whether an asset has an automation condition, and a sensor that is on evaluates it.

    Args:
        context: the context of the evaluation, with the code location.
        key: the asset key.
    """
    repository = context.repository_def
    if repository is None or not repository.asset_graph.has(key):
        return False
    graph = repository.asset_graph
    has_own = graph.get(key).automation_condition is not None
    return any(
        (has_own or sensor.default_condition is not None)
        and key in sensor.asset_selection.resolve(graph)
        and is_running(context.instance, sensor.name, default=sensor.default_status)
        for sensor in repository.sensor_defs
        if isinstance(sensor, dg.AutomationConditionSensorDefinition)
    )
