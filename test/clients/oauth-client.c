/*
 * A libpq 18 client that gives a token of its own by OAUTHBEARER ("OAuth Authentication": authentication data hooks), for
 * oauth.test.ts. Arguments: conninfo, token. Prints what it was told of the issuer, then who the session says it is, or
 * the error. The declarations are those of libpq-fe.h of PostgreSQL 18, which is not installed everywhere.
 */
#include <stdio.h>

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef struct PGoauthBearerRequest
{
	const char *openid_configuration;
	const char *scope;
	int			(*async) (PGconn *, struct PGoauthBearerRequest *, int *);
	void		(*cleanup) (PGconn *, struct PGoauthBearerRequest *);
	char	   *token;
	void	   *user;
} PGoauthBearerRequest;

enum { BEARER_TOKEN = 1, CONNECTION_OK = 0 };

extern void PQsetAuthDataHook(int (*hook) (int, PGconn *, void *));
extern PGconn *PQconnectdb(const char *);
extern int	PQstatus(const PGconn *);
extern char *PQerrorMessage(const PGconn *);
extern PGresult *PQexec(PGconn *, const char *);
extern char *PQgetvalue(const PGresult *, int, int);
extern void PQclear(PGresult *);
extern void PQfinish(PGconn *);

static char *token;

static int
give(int type, PGconn *conn, void *data)
{
	PGoauthBearerRequest *request = data;

	if (type != BEARER_TOKEN)
		return 0;
	printf("told %s %s\n", request->openid_configuration, request->scope ? request->scope : "-");
	request->token = token;
	return 1;
}

int
main(int count, char **arguments)
{
	PGconn	   *conn;
	int			failed;

	if (count != 3)
		return 64;
	token = arguments[2];
	PQsetAuthDataHook(give);
	conn = PQconnectdb(arguments[1]);
	failed = PQstatus(conn) != CONNECTION_OK;
	if (failed)
		printf("failed: %s", PQerrorMessage(conn));
	else
	{
		PGresult   *result = PQexec(conn, "SELECT count(*) FROM orders");

		printf("rows: %s\n", PQgetvalue(result, 0, 0));
		PQclear(result);
	}
	PQfinish(conn);
	return failed;
}
