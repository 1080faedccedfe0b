from __future__ import annotations

from mmagent.core import wire
from mmagent.core.protocol import Protocol, Role
from mmagent.core.protocol.link import Link, counter


def test_ids_are_counted() -> None:
    ids = counter("item")
    assert [next(ids), next(ids)] == ["item_000001", "item_000002"]


def test_each_message_is_given_out_once() -> None:
    link = Link(Role.CLIENT)
    link._send(wire.InputAudioBufferCommit())
    assert link.take() == [b'{"type":"input_audio_buffer.commit"}']
    assert link.take() == []


def test_what_a_dialect_has_no_word_for_is_not_sent() -> None:
    link = Link(Role.SERVER, dialect="beta")
    link._send(wire.ConversationItemDone(item=wire.Item(type="message", id="a")))
    assert link.take() == []


def test_the_ends_do_not_share_ids() -> None:
    client, server = Protocol(Role.CLIENT), Protocol(Role.SERVER, ids="7")
    assert (client.add_text("x"), server.speech_started(0)) == ("msg_000001", "item7_000001")
    assert client.response is None
