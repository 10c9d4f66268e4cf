/* The program `coppice-manager`: started by coppice, which passes its own options on. */
#include "base/log.h"
#include "manager/manager.h"

#include <getopt.h>

#define STATUS_USAGE 2

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"root", required_argument, NULL, 'r'},
		{"unit-path", required_argument, NULL, 'u'},
		{"control", required_argument, NULL, 'S'},
		{"log-level", required_argument, NULL, 'l'},
		{"check", no_argument, NULL, 'n'},
		{0},
	};
	struct manager_options options = {0};
	int c, level;
	log_init("coppice", LOG_LEVEL_NOTICE);
	while ((c = getopt_long(argc, argv, "r:u:S:n", known, NULL)) != -1) {
		switch (c) {
		case 'r': options.root = optarg; break;
		case 'u': options.unit_path = optarg; break;
		case 'S': options.control = optarg; break;
		case 'n': options.check = true; break;
		case 'l':
			level = log_level_parse(optarg);
			if (level < 0) {
				log_error("'%s' is no log level", optarg);
				return STATUS_USAGE;
			}
			log_init("coppice", (enum log_level)level);
			break;
		default: return STATUS_USAGE; /* getopt has said what */
		}
	}
	return manager_main(&options);
}
