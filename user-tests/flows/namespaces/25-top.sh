#: only ^top|^Tasks|Cpu|MiB|PID|(init|bash|timeout|top)$|^===
#: numbers
#: unordered
#: vary [ ,]+[\d.]+ 
top -bn1
