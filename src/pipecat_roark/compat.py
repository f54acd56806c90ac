"""What differs between Pipecat's releases, looked up by what is there and never by version."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipecat.observers.base_observer import BaseObserver


def attach(observer: BaseObserver, pipeline_observer: object) -> bool:
    """Attach an observer to a pipeline that is being set up, unless it already is.

    From 1.0.0 on, `PipelineParams(observers=[...])` is silently ignored: nobody would call the
    observer, though its recorder is in the pipeline.

    Args:
        observer: The observer.
        pipeline_observer: What the pipeline's processors report to, which passes it on.

    Returns:
        Whether it was missing and is attached now.
    """
    attached = getattr(pipeline_observer, "_observers", None)
    add = getattr(pipeline_observer, "add_observer", None)
    if attached is None or add is None or observer in attached:
        return False
    add(observer)
    return True
