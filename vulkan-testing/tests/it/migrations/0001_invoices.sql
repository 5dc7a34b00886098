CREATE TABLE invoices (order_id bigint PRIMARY KEY);
