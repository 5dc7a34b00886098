mod late_commit;
mod positions;
mod waiting;
