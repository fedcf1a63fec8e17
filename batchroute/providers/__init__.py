"""Who answers and bills: transports, the error map and the simulator. The only floor that knows openai."""
