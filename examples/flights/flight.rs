use serde::{Deserialize, Serialize};
use vulkan::Event;

/// One flight, as it is published. Times are minutes of the day, delays minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
#[event(stream = "flights", kind = "flight.scheduled")]
pub(crate) struct Flight {
    /// Its row in the CSV, the first being 1.
    pub(crate) row: u32,
    /// The day it was scheduled for, `2013-01-31`.
    pub(crate) day: String,
    pub(crate) carrier: String,
    pub(crate) number: u32,
    /// The aircraft. Some cancelled flights never had one.
    #[event(key)]
    pub(crate) tail: Option<String>,
    pub(crate) origin: String,
    pub(crate) destination: String,
    pub(crate) scheduled_departure: u32,
    /// `None`: cancelled.
    pub(crate) departure: Option<u32>,
    pub(crate) departure_delay: Option<i32>,
    pub(crate) arrival_delay: Option<i32>,
}
