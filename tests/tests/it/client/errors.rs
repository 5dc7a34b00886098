mod texts;
mod transient;
