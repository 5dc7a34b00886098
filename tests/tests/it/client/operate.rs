mod groups;
mod messages;
mod overview;
mod redrive;
mod replay;
mod unknown;
