"""What the database is told of an archived partition, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eventstore.archive.archived import EVENTS, STREAMS
from eventstore.archive.arrow import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.archive.export import Export
    from eventstore.archive.object_storage import ObjectStorage


def record_of(exported: Export, storage: ObjectStorage) -> str:
    """Return what es.record_archive_v1 takes."""
    lane = exported.lanes[0].range
    objects = exported.objects
    record: dict[str, Any] = {
        "from_position": lane.first_position,
        "to_position": lane.last_position + 1,
        "format_version": FORMAT_VERSION,
        "url": storage.url_of(objects[EVENTS].name),
        "events": exported.events_count,
        "first_recorded_at": exported.first_recorded_at.isoformat(),
        "last_recorded_at": exported.last_recorded_at.isoformat(),
        "lanes": [
            {
                "lane": each.range.lane,
                "hash_before": each.range.hash_before.hex(),
                "end_hash": each.end_hash.hex(),
                "first_seal": each.range.seals[0].number if each.range.seals else None,
                "last_seal": each.range.seals[-1].number if each.range.seals else None,
            }
            for each in exported.lanes
        ],
        "objects": [
            {
                "content": content,
                "name": each.name,
                "bytes": each.size_bytes,
                "sha256": each.sha256.hex(),
                "footer_from": each.footer.start,
                "footer_sha256": each.footer.sha256.hex(),
            }
            for content, each in objects.items()
        ],
        "parts": [*_event_parts(exported), *_stream_parts(exported)],
    }
    return json.dumps(record)


def _event_parts(exported: Export) -> Sequence[dict[str, Any]]:
    return [
        {
            "content": EVENTS,
            "number": each.number,
            "byte_from": each.span.start,
            "bytes": each.span.length,
            "sha256": each.span.sha256.hex(),
            "lane": each.lane,
            "first_position": each.first_position,
            "last_position": each.last_position,
        }
        for each in exported.spans
    ]


def _stream_parts(exported: Export) -> Sequence[dict[str, Any]]:
    parts = exported.files[STREAMS].parts
    return [
        {
            "content": STREAMS,
            "number": number,
            "byte_from": span.start,
            "bytes": span.length,
            "sha256": span.sha256.hex(),
            "first_stream_id": str(first),
            "last_stream_id": str(last),
        }
        for number, (span, (first, last)) in enumerate(zip(parts, exported.stream_edges, strict=True))
    ]
