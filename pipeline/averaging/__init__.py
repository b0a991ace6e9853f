"""Which weights are evaluated and shipped. The student's own rule is EoA's simple moving average; a method may have another."""
