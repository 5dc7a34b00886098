SELECT carrier, flights, cancelled, minutes_late FROM carriers
