mod interrupted;
mod together;
mod versions;
