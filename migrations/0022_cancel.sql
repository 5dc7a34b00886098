-- Cancel: a message that has not started ends at once, one that runs is asked to stop.

-- Four transitions end what a request waits for, and each heeds it in its own transaction, so that no claim
-- sees the message in between: settle() (heeded, then heed_cancels), reap() (cancel_note for unkeyed messages,
-- heed_cancels for lanes), replay() (heed_cancels), and skip() (set_aside).
CREATE FUNCTION vulkan.cancel(stream text, consumer_group text, event_offset bigint, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS text
LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    m vulkan.held_message;
    g vulkan.groups;
BEGIN
    m := vulkan.hold_message(stream, consumer_group, event_offset);
    g := m.of_group;
    IF dry_run OR m.status IN ('done', 'dead') THEN
        RETURN m.status;
    END IF;
    IF m.status = 'processing' THEN
        INSERT INTO vulkan.cancel_requests AS c (group_id, "offset", token, reason)
        VALUES (g.group_id, cancel.event_offset, m.token, left(cancel.reason, 1024))
        ON CONFLICT ON CONSTRAINT cancel_requests_pkey DO UPDATE
            SET token = EXCLUDED.token, reason = coalesce(EXCLUDED.reason, c.reason);
    ELSE
        PERFORM vulkan.set_aside(g, event_offset, m.lane, 'dead', 'cancelled' || coalesce(': ' || left(reason, 1024), ''));
    END IF;
    RETURN m.status;
END $$;
COMMENT ON FUNCTION vulkan.cancel(text, text, bigint, text, boolean) IS
'Gives one message up for a group. One that waits, for its turn, its time, its retry or behind its key, is dead at once, with last_error "cancelled: reason"; its key goes on, also where the dead block theirs. One in work is asked to stop: its worker tells the handler, and unless that still succeeds, the message ends dead and is not tried again, also if its worker dies. One that is done or dead already is left alone. A cancelled message can be redriven.
Returns the status it had: ready (now dead), processing (asked to stop), done or dead. Raises VK005 if the event is no message of the group.';

CREATE FUNCTION vulkan.cancel_note(group_id integer, event_offset bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT 'cancelled' || coalesce(': ' || c.reason, '') FROM vulkan.cancel_requests c
    WHERE c.group_id = cancel_note.group_id AND c."offset" = cancel_note.event_offset
$$;
COMMENT ON FUNCTION vulkan.cancel_note(integer, bigint) IS 'Internal. What the last_error of a message begins with that was asked to stop; NULL for all others.';

CREATE FUNCTION vulkan.heeded(group_id integer, offsets bigint[], outcomes text[], errors text[])
RETURNS TABLE (nth bigint, outcome text, error text)
LANGUAGE sql STABLE ROWS 10 AS $$
    SELECT u.nth, CASE WHEN asked.note IS NULL THEN u.outcome ELSE 'dead' END,
           CASE WHEN asked.note IS NULL THEN u.error ELSE concat_ws('; ', asked.note, u.error) END
    FROM unnest(offsets, outcomes, errors) WITH ORDINALITY AS u(o, outcome, error, nth)
    LEFT JOIN LATERAL (SELECT vulkan.cancel_note(heeded.group_id, u.o) AS note
                       WHERE u.outcome NOT IN ('done', 'progress', 'running')) asked ON true
$$;
COMMENT ON FUNCTION vulkan.heeded(integer, bigint[], text[], text[]) IS 'Internal. The outcomes of a settlement with requests to stop in mind: what was asked to stop and did not succeed is dead.';

CREATE FUNCTION vulkan.heed_cancels(g vulkan.groups, latched boolean) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    asked  record;
    cursor CONSTANT bigint := vulkan.cursor_of(g.group_id);
BEGIN
    FOR asked IN
        SELECT c."offset", hashtextextended(e.partition_key, 0) AS lane, vulkan.cancel_note(g.group_id, c."offset") AS note, s.status
        FROM vulkan.cancel_requests c
        LEFT JOIN vulkan.events e ON e.stream_id = g.stream_id AND e."offset" = c."offset"
        CROSS JOIN LATERAL vulkan.status_in(g, e."offset", e.kind, e.headers, e.partition_key) s(status)
        -- Without the latch a keyed one that is not over must not be locked: who has the latch would pass it by.
        WHERE c.group_id = g.group_id AND (latched OR e.partition_key IS NULL OR coalesce(s.status, 'done') = 'done')
        ORDER BY c."offset" FOR UPDATE OF c SKIP LOCKED
    LOOP
        CONTINUE WHEN asked.status = 'processing';
        IF asked."offset" <= cursor AND (asked.status = 'ready' OR (asked.status = 'dead' AND asked.lane IS NOT NULL)) THEN
            -- Given back behind its key, or dead for a reason of its own: either way it stands in nobody's way.
            CONTINUE WHEN NOT latched;
            PERFORM vulkan.set_aside(g, asked."offset", asked.lane, 'dead',
                CASE WHEN asked.status = 'ready' THEN asked.note END);
        END IF;
        DELETE FROM vulkan.cancel_requests c WHERE c.group_id = g.group_id AND c."offset" = asked."offset";
    END LOOP;
END $$;
COMMENT ON FUNCTION vulkan.heed_cancels(vulkan.groups, boolean) IS 'Internal. Ends the requests to stop of a group whose messages are no longer in work. The caller holds the latch, or leaves the keyed ones alone.';
