mod commit;
mod fenced;
mod selective;
mod takeover;
