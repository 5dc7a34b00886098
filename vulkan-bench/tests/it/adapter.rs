mod ends;
mod environment;
mod lines;
mod modes;
mod proxy;
mod restarts;
mod support;
