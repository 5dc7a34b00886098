use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::flight::Flight;

/// What the handlers share.
#[derive(Debug, Default)]
pub(crate) struct Tower {
    knows_cancelled: AtomicBool,
    aircraft: Mutex<Log>,
}

/// What was seen of each aircraft, and of the flights without one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    /// The rows of the flights that were handled, in the order in which they were: by tail number.
    pub(crate) handled: HashMap<Option<String>, Vec<u32>>,
    /// The highest row begun so far, by tail number.
    newest: HashMap<String, u32>,
    /// Attempts that came before an earlier flight of the aircraft was through.
    pub(crate) out_of_order: usize,
    /// Departures that an aircraft's own late arrival explains.
    pub(crate) knock_on: usize,
    arrival_delay: HashMap<String, (String, i32)>,
}

impl Tower {
    /// Whether the program has learnt that flights can be cancelled.
    pub(crate) fn knows_cancelled(&self) -> bool {
        self.knows_cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn fix_the_bug(&self) {
        self.knows_cancelled.store(true, Ordering::Relaxed);
    }

    /// Notes that an attempt begins. Redriven flights come late by nature and are not looked at.
    pub(crate) fn begin(&self, flight: &Flight) {
        let Some(tail) = flight.tail.as_ref().filter(|_| !self.knows_cancelled()) else {
            return;
        };
        let mut log = self.lock();
        let newest = log.newest.get(tail).copied().unwrap_or(0);
        if flight.row < newest {
            log.out_of_order += 1;
        }
        log.newest.insert(tail.clone(), flight.row.max(newest));
    }

    /// Notes that a flight was handled, and whether a late arrival of its aircraft made it late.
    pub(crate) fn end(&self, flight: &Flight) {
        let mut log = self.lock();
        log.handled
            .entry(flight.tail.clone())
            .or_default()
            .push(flight.row);
        let Some(tail) = &flight.tail else { return };
        let before = log.arrival_delay.insert(
            tail.clone(),
            (flight.day.clone(), flight.arrival_delay.unwrap_or(0)),
        );
        let late_before = before.is_some_and(|(day, late)| day == flight.day && late > 15);
        if late_before && flight.departure_delay.is_some_and(|late| late > 15) {
            log.knock_on += 1;
        }
    }

    pub(crate) fn log(&self) -> Log {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.aircraft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
