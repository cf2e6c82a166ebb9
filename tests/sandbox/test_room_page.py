"""The meeting page in real Chromium."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.async_api import expect

from sandbox.client import SandboxClient
from sandbox.schemas import HostAction, RoomOptions
from tests.sandbox.browsers import Browsers
from tests.sandbox.conftest import Until
from tests.support.sandbox import running_sandbox

pytestmark = pytest.mark.browser

EMPTY = RoomOptions(script=None)
SPEAKERS = {"Ada Park", "Ben Ortiz", "Cleo Marsh"}


async def test_a_guest_without_devices_sees_and_hears_the_scripted_peers(
    client: SandboxClient, browsers: Browsers, until: Until
) -> None:
    room = await client.create_room()
    guest = await browsers.join(room.guest_url, "Notetaker")
    await guest.in_room()
    assert await guest.names() == {*SPEAKERS, "Notetaker"}

    async def media_flows() -> bool:
        audio, video = await guest.inbound("audio"), await guest.inbound("video")
        return audio["packets"] > 150 and video["framesDecoded"] > 72

    await until(media_flows)
    tile = guest.page.locator('[data-testid="tile"][data-display-name="Ada Park"]')
    await expect(tile).to_have_attribute("data-host", "true")
    await expect(tile).to_have_attribute("data-self", "false")
    kinds = await tile.locator("video, audio").evaluate_all(
        "all => all.map(e => e.srcObject.getTracks().map(t => t.kind).join())"
    )
    assert kinds == ["video", "audio"]


async def test_scripted_speech_arrives_whole(
    client: SandboxClient, browsers: Browsers, until: Until
) -> None:
    """Less than 3 % concealed: nothing is lost, and packets leave on time."""
    room = await client.create_room(RoomOptions(script="short", video=False))
    guest = await browsers.join(room.guest_url, "Notetaker")

    async def spoken() -> bool:
        timeline = (await client.room(room.room_id)).timeline
        return len(timeline) >= 2 and timeline[1].ended_at_ms is not None

    await until(spoken, 25)
    heard = await guest.inbound("audio")
    assert heard["energy"] > 0.001
    assert heard["concealed"] < 0.03 * heard["samples"]
    first, second = (await client.room(room.room_id)).timeline[:2]
    assert first.ended_at_ms is not None
    assert first.started_at_ms < first.ended_at_ms < second.started_at_ms


async def test_the_lobby_admits_and_denies(client: SandboxClient, browsers: Browsers) -> None:
    """LC-26: the lobby's text, and both ways out of it."""
    room = await client.create_room(RoomOptions(script=None, lobby=True))
    host = await browsers.join(room.host_url, "Host")
    await host.in_room()
    welcome = await browsers.join(room.guest_url, "Welcome")
    await expect(welcome.page.get_by_test_id("lobby")).to_contain_text(
        "Waiting for the host to let you in"
    )
    await host.click("admit")
    await welcome.in_room()
    unwelcome = await browsers.join(room.guest_url, "Unwelcome")
    await host.click("deny")
    await unwelcome.ended("denied")
    assert await host.names() == {"Host", "Welcome"}


async def test_the_host_kicks_one_and_ends_for_all(
    client: SandboxClient, browsers: Browsers
) -> None:
    room = await client.create_room(EMPTY)
    host = await browsers.join(room.host_url, "Host")
    await host.in_room()
    first = await browsers.join(room.guest_url, "First")
    await first.in_room()
    await host.click("kick")
    await first.ended("kicked")
    second = await browsers.join(room.guest_url, "Second")
    await second.in_room()
    await expect(second.page.get_by_test_id("kick")).to_have_count(0)
    await host.click("end")
    await second.ended("ended")
    await host.ended("ended")
    late = await browsers.open(room.guest_url)
    await late.ended("ended")


async def test_chat_reaches_everybody_as_written(client: SandboxClient, browsers: Browsers) -> None:
    room = await client.create_room(EMPTY)
    one = await browsers.join(room.guest_url, "One")
    await one.in_room()
    two = await browsers.join(room.guest_url, "Two")
    await two.in_room()
    for writer, text in ((one, "Hello <b>there</b>"), (two, "Good morning")):
        await writer.page.get_by_test_id("chat-input").fill(text)
        await writer.click("chat-send")
    for reader in (one, two):
        items = reader.page.get_by_test_id("chat").locator("li")
        await expect(items).to_have_text(["Hello <b>there</b>", "Good morning"])
        await expect(items.first).to_have_attribute("data-display-name", "One")
        await expect(items.first).to_have_attribute("data-at", re.compile(r"^\d{13}$"))


async def test_captions_name_the_speaker_and_become_final(
    client: SandboxClient, browsers: Browsers
) -> None:
    room = await client.create_room(RoomOptions(script="short", video=False))
    guest = await browsers.join(room.guest_url, "Notetaker")
    await guest.in_room()
    await guest.click("captions-toggle")
    line = guest.page.get_by_test_id("captions").locator("p").first
    await expect(line).to_have_attribute("data-final", "false", timeout=15_000)
    await expect(line).to_have_attribute("data-display-name", "Ada Park")
    await expect(line).to_have_attribute("data-final", "true", timeout=10_000)
    await expect(line).to_have_text(
        "Let us begin with the new website. Tell me how the work is going."
    )


async def test_incoming_video_off_really_stops_the_senders(
    client: SandboxClient, browsers: Browsers, until: Until
) -> None:
    """Scripted cameras and a visitor's camera; sound goes on."""
    room = await client.create_room(RoomOptions(script="short"))
    person = await browsers.join(room.guest_url, "Person", devices=True)
    await person.in_room()
    guest = await browsers.join(room.guest_url, "Notetaker")
    await guest.in_room()

    async def all_four() -> bool:
        await guest.page.bring_to_front()
        shown = "[...document.querySelectorAll('video')].filter(v => v.videoWidth > 2).length"
        return bool(await guest.page.evaluate(shown) == 4)

    await until(all_four, 20)
    await guest.click("incoming-video")
    await expect(guest.page.get_by_test_id("incoming-video")).to_have_attribute(
        "aria-pressed", "false"
    )
    await guest.page.wait_for_function(STOPPED, arg=1_000, timeout=10_000)
    sound = (await guest.inbound("audio"))["bytes"]
    video = (await guest.inbound("video"))["bytes"]
    await guest.click("incoming-video")

    async def both_go_on() -> bool:
        more = (await guest.inbound("audio"))["bytes"], (await guest.inbound("video"))["bytes"]
        return more[0] > sound and more[1] > video + 20_000

    await until(both_go_on)


# True once no video byte arrived for so many milliseconds.
STOPPED = """async (quiet) => {
  let bytes = 0;
  for (const pc of globalThis.connections) {
    for (const report of (await pc.getStats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "video") bytes += report.bytesReceived;
    }
  }
  const now = performance.now();
  if (globalThis.lastBytes !== bytes) {
    globalThis.lastBytes = bytes;
    globalThis.lastChange = now;
  }
  return now - globalThis.lastChange > quiet;
}"""


async def test_two_people_see_and_hear_each_other_and_a_shared_screen(
    client: SandboxClient, browsers: Browsers, until: Until
) -> None:
    room = await client.create_room(EMPTY)
    one = await browsers.join(room.guest_url, "One", devices=True)
    await one.in_room()
    two = await browsers.join(room.guest_url, "Two", devices=True)
    await two.in_room()

    async def both_hear() -> bool:
        heard = [await person.inbound("audio") for person in (one, two)]
        return all(sums["energy"] > 0.0001 for sums in heard)

    await until(both_hear, 20)
    await one.click("share")
    screen = two.page.locator('[data-testid="tile"][data-kind="screen"]')
    await expect(screen).to_have_attribute("data-display-name", "One")

    async def screen_arrives() -> bool:
        return bool(await screen.locator("video").evaluate("video => video.videoWidth > 300"))

    await until(screen_arrives, 15)
    await one.click("share")
    await expect(screen).to_have_count(0)
    cameras = two.page.locator('[data-testid="tile"][data-kind="camera"] video')
    assert await cameras.evaluate_all("all => all.every(v => v.srcObject.getTracks().length === 1)")


async def test_a_listener_hears_who_was_there_before_and_who_comes_later(
    client: SandboxClient, browsers: Browsers, until: Until
) -> None:
    room = await client.create_room(EMPTY)
    before = await browsers.join(room.guest_url, "Before", devices=True)
    await before.in_room()
    listener = await browsers.join(room.guest_url, "Listener")
    await listener.in_room()
    after = await browsers.join(room.guest_url, "After", devices=True)
    await after.in_room()
    # How many connections have brought more than the beginning of somebody's sound.
    heard = """async () => {
      let bringing = 0;
      for (const pc of globalThis.connections) {
        for (const report of (await pc.getStats()).values()) {
          if (report.type !== "inbound-rtp" || report.kind !== "audio") continue;
          if (report.packetsReceived > 20) bringing += 1;
        }
      }
      return bringing;
    }"""

    async def both_arrive() -> bool:
        return int(await listener.page.evaluate(heard)) == 2

    await until(both_arrive, 20)


async def test_a_muted_person_is_shown_as_muted(client: SandboxClient, browsers: Browsers) -> None:
    room = await client.create_room(EMPTY)
    person = await browsers.join(room.guest_url, "Person", devices=True)
    await person.in_room()
    other = await browsers.join(room.guest_url, "Other")
    await other.in_room()
    tile = other.page.locator('[data-testid="tile"][data-display-name="Person"]')
    await expect(tile).to_have_attribute("data-muted", "false")
    await person.click("mic")
    await expect(tile).to_have_attribute("data-muted", "true")
    await person.click("mic")
    await expect(tile).to_have_attribute("data-muted", "false")
    someone = (await client.room(room.room_id)).participants[0]
    await client.host(room.room_id, HostAction.MUTE, someone.participant_id)
    await expect(tile).to_have_attribute("data-muted", "true")
    await expect(person.page.get_by_test_id("mic")).to_have_attribute("aria-pressed", "false")


async def test_somebody_is_pinned_by_their_tile_or_their_name(
    client: SandboxClient, browsers: Browsers, until: Until
) -> None:
    """API-12: large in the view of who pins, and only there; one at a time."""
    room = await client.create_room(RoomOptions(video=False))
    viewer = await browsers.join(room.guest_url, "Viewer")
    await viewer.in_room()
    tiles = viewer.page.locator('[data-testid="tile"]')
    pinned = viewer.page.locator('[data-testid="tile"][data-pinned="true"]')
    await tiles.filter(has_text="Ben Ortiz").get_by_test_id("pin").click()
    await expect(pinned).to_have_attribute("data-display-name", "Ben Ortiz")
    ada = viewer.page.locator('[data-part="roster"] li').filter(has_text="Ada Park")
    await ada.get_by_test_id("pin-person").click()
    await expect(pinned).to_have_attribute("data-display-name", "Ada Park")
    await expect(ada.get_by_test_id("pin-person")).to_have_attribute("aria-pressed", "true")

    async def told_to_the_room() -> bool:
        people = (await client.room(room.room_id)).participants
        names = {one.participant_id: one.display_name for one in people}
        return [names[one.pinned] for one in people if one.pinned] == ["Ada Park"]

    await until(told_to_the_room)
    await ada.get_by_test_id("pin-person").click()
    await expect(pinned).to_have_count(0)
    await expect(tiles.get_by_test_id("pin")).to_have_count(3)


async def test_closing_the_tab_leaves_the_room_within_seconds(
    client: SandboxClient, browsers: Browsers
) -> None:
    room = await client.create_room(EMPTY)
    stays = await browsers.join(room.guest_url, "Stays")
    await stays.in_room()
    goes = await browsers.join(room.guest_url, "Goes")
    await goes.in_room()
    tiles = stays.page.get_by_test_id("tile")
    await expect(tiles).to_have_count(2)
    await goes.page.close()
    await expect(tiles).to_have_count(1, timeout=3_000)
    await stays.click("leave")
    await stays.ended("left")


async def test_a_server_that_goes_away_is_noticed(browsers: Browsers) -> None:
    with running_sandbox() as server:
        async with server.client() as client:
            room = await client.create_room(EMPTY)
        guest = await browsers.join(room.guest_url, "Guest")
        await guest.in_room()
        server.stop()
        await guest.ended("lost")


@pytest.mark.parametrize("change", ["room", "token", "none"])
async def test_an_unknown_room_or_a_wrong_token_is_not_found(
    client: SandboxClient, browsers: Browsers, change: str
) -> None:
    """FC-02: the same answer for both, so that strangers do not learn which rooms exist."""
    room = await client.create_room(EMPTY)
    token = room.guest_token.get_secret_value()
    url = {
        "room": room.guest_url.replace(room.room_id, "0123456789"),
        "token": room.guest_url.replace(token, "wrong"),
        "none": room.guest_url.split("?")[0],
    }[change]
    async with httpx.AsyncClient(timeout=10) as http:
        assert (await http.get(url)).status_code == 404
    guest = await browsers.open(url)
    await guest.ended("not-found")


async def test_a_connection_that_breaks_is_made_again(
    client: SandboxClient, browsers: Browsers, until: Until
) -> None:
    room = await client.create_room(RoomOptions(video=False))
    guest = await browsers.join(room.guest_url, "Notetaker")

    async def sound_flows() -> bool:
        return (await guest.inbound("audio"))["packets"] > 50

    await until(sound_flows)
    await guest.page.evaluate("globalThis.connections.splice(0).forEach(pc => pc.close())")
    await until(sound_flows, 20)


async def test_everything_can_be_reached_in_the_small_window_of_a_bot(
    client: SandboxClient, browsers: Browsers
) -> None:
    room = await client.create_room(RoomOptions(script="short", video=False))
    guest = await browsers.open(room.guest_url)
    await guest.page.set_viewport_size({"width": 320, "height": 180})
    await guest.page.get_by_test_id("name").fill("Notetaker")
    await guest.click("join")
    await guest.in_room()
    for button in ("captions-toggle", "incoming-video"):
        await guest.click(button)
    await guest.page.get_by_test_id("chat-input").fill("I am recording")
    await guest.click("chat-send")
    await expect(guest.page.get_by_test_id("chat")).to_contain_text("I am recording")
    await guest.click("leave")
    await guest.ended("left")
