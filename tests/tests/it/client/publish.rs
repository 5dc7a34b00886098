mod batch;
mod cancelled;
mod one;
mod refused;
mod transaction;
