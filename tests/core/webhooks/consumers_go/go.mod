module consumers

go 1.22
