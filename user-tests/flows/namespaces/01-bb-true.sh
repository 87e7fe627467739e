$BB true
