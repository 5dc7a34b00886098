-- What a trace needs to know of a message beyond its attempt.

CREATE FUNCTION vulkan.met_before(group_id integer, event_offset bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN event_offset <= (SELECT g.replayed_through FROM vulkan.groups g WHERE g.group_id = met_before.group_id)
        OR EXISTS (SELECT FROM vulkan.exceptions x
                   WHERE x.group_id = met_before.group_id AND x."offset" = met_before.event_offset
                     AND (x.claimed_at IS NOT NULL OR x.last_error IS NOT NULL));
END $$;
COMMENT ON FUNCTION vulkan.met_before(integer, bigint) IS 'Whether a message was handed out before, as far as the caller''s snapshot knows, though its attempt may be 1 again: it was redriven, replayed, put off or given back. NULL counts as no. In one statement with claim() it tells of the time before that claim.';
