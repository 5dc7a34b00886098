//! A selection of the faults in their short form.
